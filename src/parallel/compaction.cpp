#include "pruntrain/parallel/compaction.hpp"

#include <algorithm>
#include <numeric>

#include "pruntrain/model/weight_matrix.hpp"
#include "pruntrain/parallel/redistribution.hpp"

namespace pruntrain {

namespace {

/// Calls work(row, column) of the whole tensor and its packed position for each weight of this shard.
template <class Work>
void for_each_weight(const Parameter& weight, Work work) {
    const index_t columns = weight.pattern.columns();
    weight.pattern.for_each_position([&](index_t k, index_t position) {
        work(static_cast<std::size_t>(weight.first_row + position / columns),
             static_cast<std::size_t>(weight.first_column + position % columns), static_cast<std::size_t>(k));
    });
}

/// A layer with weights, and the next one, which reads its outputs.
class Pair {
   public:
    Pair(Network& network, std::size_t producer, std::size_t consumer, const Communicator& shards)
        : network_(network), producer_(producer), consumer_(consumer), shards_(shards) {
        const std::size_t inputs = layer(consumer).input_channels().total;
        features_ = inputs / outputs();
        of_output_ = static_cast<std::size_t>(weight(consumer).tensor_columns()) / outputs();
        of_feature_ = static_cast<std::size_t>(weight(consumer).tensor_columns()) / inputs;
    }

    const std::string& name() const { return layer(producer_).name(); }
    std::size_t outputs() const { return static_cast<std::size_t>(layer(producer_).own_channels().total); }
    std::size_t of_output() const { return of_output_; }  ///< columns of the next layer per output

    struct Counts {
        std::vector<std::uint64_t> into, out_of;  ///< weights of each output
    };
    /// @param inputs      the producer's columns whose writers are alive; null: all
    /// @param rows        the consumer's rows that are alive
    template <class Lives>
    Counts count(Lives input_lives, Lives row_lives) const {
        Counts counts{std::vector<std::uint64_t>(outputs()), std::vector<std::uint64_t>(outputs())};
        for_each_weight(weight(producer_), [&](std::size_t row, std::size_t column, std::size_t) {
            if (input_lives(column)) ++counts.into[row];
        });
        for_each_weight(weight(consumer_), [&](std::size_t row, std::size_t column, std::size_t) {
            if (row_lives(row)) ++counts.out_of[column / of_output_];
        });
        shards_.all_reduce_sum(std::span(counts.into));
        shards_.all_reduce_sum(std::span(counts.out_of));
        return counts;
    }

    /// True if outputs without incoming weights can be removed: the consumer's inputs from them are known constants.
    bool knows_constants() const {
        std::vector<double> values(block_of(layer(producer_).own_channels()).size, 0.0);
        for (std::size_t between = producer_ + 1; between < consumer_; ++between) {
            if (is_exchange(between)) continue;
            auto constants = layer(between).of_constants(std::move(values));
            if (!constants) return false;
            values = std::move(*constants);
        }
        return true;
    }

    /// Adds the constants of these outputs, which have no incoming weights, to the biases of the following layer.
    void fold(const std::vector<std::size_t>& dead) {
        if (!layer(consumer_).adds_constants()) return;
        const std::vector<double> constants = constants_behind();
        std::vector<double> kept(constants.size(), 0.0);
        for (const std::size_t output : dead)
            std::copy_n(constants.begin() + static_cast<std::ptrdiff_t>(output * features_), features_,
                        kept.begin() + static_cast<std::ptrdiff_t>(output * features_));
        const Parameter& matrix = weight(consumer_);
        const ChannelBlock& own = layer(consumer_).own_channels();
        std::vector<double> added(own.total);
        for_each_weight(matrix, [&](std::size_t row, std::size_t column, std::size_t k) {
            added[row] += static_cast<double>(matrix.value[k]) * kept[column / of_feature_];
        });
        if (layer(consumer_).computes_partial_sums()) shards_.all_reduce_sum(std::span(added));
        const Block block = block_of(own);
        const std::span<const double> here = std::span(added).subspan(block.first, block.size);
        if (layer(consumer_).take_constants(here)) return;
        const std::size_t behind = consumer_ + (layer(consumer_).computes_partial_sums() ? 2 : 1);
        if (behind < network_.layer_count()) layer(behind).take_constants(here);
    }

   private:
    Layer& layer(std::size_t number) const { return network_.layer(number); }
    bool is_exchange(std::size_t number) const { return layer(number).exchanged({1, 1}).forward != 0; }
    const Parameter& weight(std::size_t number) const { return layer(number).weight_matrix()->parameter(); }
    Block block_of(const ChannelBlock& channels) const {
        return channels.offsets.empty() ? Block{0, channels.total} : channels.of(shards_.rank());
    }

    /// The consumer's inputs, over all shards, if no output of the producer had incoming weights.
    std::vector<double> constants_behind() const {
        const Block own = block_of(layer(producer_).own_channels());
        std::vector<double> values(own.size, 0.0);
        for (const auto* parameter : layer(producer_).parameters())
            if (parameter->name == "bias") std::ranges::copy(parameter->value, values.begin());
        for (std::size_t between = producer_ + 1; between < consumer_; ++between)
            if (!is_exchange(between)) values = layer(between).of_constants(std::move(values)).value();
        std::vector<double> all(outputs() * features_, 0.0);
        std::ranges::copy(values, all.begin() + own.first * static_cast<index_t>(features_));
        if (shards_.size() > 1) shards_.all_reduce_sum(std::span(all));
        return all;
    }

    Network& network_;
    std::size_t producer_, consumer_;
    const Communicator& shards_;
    std::size_t features_;    ///< input channels of the consumer per output
    std::size_t of_output_;   ///< its columns per output
    std::size_t of_feature_;  ///< its columns per input channel
};

/// Keeps the first alive output of each shard's block if the whole block would be removed.
void spare_one_of_each_block(const ChannelBlock& channels, const std::vector<std::uint8_t>& alive,
                             std::vector<std::uint8_t>& dies) {
    std::vector<index_t> offsets =
        channels.offsets.empty() ? std::vector<index_t>{0, channels.total} : channels.offsets;
    for (std::size_t block = 0; block + 1 < offsets.size(); ++block) {
        std::size_t first = alive.size();
        bool all_die = true;
        for (std::size_t output = offsets[block]; output < static_cast<std::size_t>(offsets[block + 1]); ++output) {
            if (!alive[output]) continue;
            first = std::min(first, output);
            all_die = all_die && dies[output];
        }
        if (all_die && first < alive.size()) dies[first] = 0;
    }
}

}  // namespace

AliveChannels fold_dead_channels(Network& network, const Communicator& shards) {
    const std::vector<std::size_t> layers = network.layers_with_weights();
    std::vector<Pair> pairs;
    std::vector<std::vector<std::uint8_t>> alive;
    for (std::size_t i = 0; i + 1 < layers.size(); ++i) {
        pairs.emplace_back(network, layers[i], layers[i + 1], shards);
        alive.emplace_back(pairs.back().outputs(), 1);
    }
    const auto lives = [&](std::size_t pair, std::size_t of_output) {
        return std::function([&alive, pair, of_output](std::size_t line) {
            return pair >= alive.size() || alive[pair][line / of_output] != 0;
        });
    };
    for (bool changed = true; changed;) {
        changed = false;
        for (std::size_t i = 0; i < pairs.size(); ++i) {
            const std::size_t before = i == 0 ? pairs.size() : i - 1;  // the inputs of the network are all alive
            const auto counts = pairs[i].count(lives(before, i == 0 ? 1 : pairs[before].of_output()), lives(i + 1, 1));
            std::vector<std::uint8_t> dies(alive[i].size(), 0);
            for (std::size_t output = 0; output < dies.size(); ++output)
                dies[output] = alive[i][output] &&
                               (counts.out_of[output] == 0 || (counts.into[output] == 0 && pairs[i].knows_constants()));
            spare_one_of_each_block(network.layer(layers[i]).own_channels(), alive[i], dies);
            std::vector<std::size_t> constant;
            for (std::size_t output = 0; output < dies.size(); ++output) {
                if (!dies[output]) continue;
                changed = true;
                alive[i][output] = 0;
                if (counts.out_of[output] > 0) constant.push_back(output);
            }
            if (!constant.empty()) pairs[i].fold(constant);
        }
    }
    AliveChannels result;
    for (std::size_t i = 0; i < pairs.size(); ++i) result[pairs[i].name()] = std::move(alive[i]);
    return result;
}

std::optional<Partition> partition_of_alive(Network& network, const AliveChannels& alive) {
    Partition cuts;
    bool all_live = true;
    for (const std::size_t i : network.layers_with_weights()) {
        const Layer& layer = network.layer(i);
        std::vector<index_t>& offsets = cuts[layer.name()];
        offsets = layer.own_channels().offsets;
        const auto of_layer = alive.find(layer.name());
        if (of_layer == alive.end()) continue;  // the last layer
        for (index_t& begin : offsets)
            begin = std::accumulate(of_layer->second.begin(), of_layer->second.begin() + begin, index_t{0});
        all_live = all_live && offsets.back() == layer.own_channels().total;
    }
    if (all_live) return {};
    return cuts;
}

void compact_network(Network& from, Network& to, const AliveChannels& alive, const Grid& grid,
                     std::optional<StatePartition> sharing) {
    const std::vector<std::uint8_t>* rows = nullptr;  // alive outputs of the current producer; null: all
    const std::vector<std::uint8_t>* columns = nullptr;
    std::size_t under_way = from.layer_count();
    const auto route_of = [&](std::size_t number, const Pattern& own, bool, index_t tensor_columns) {
        Layer& layer = from.layer(number);
        if (number != under_way && layer.weight_matrix() != nullptr) {
            const auto found = alive.find(layer.name());
            columns = rows;
            rows = found == alive.end() ? nullptr : &found->second;
        }
        under_way = number;
        const bool is_matrix = layer.weight_matrix() != nullptr && &own == &layer.weight_matrix()->parameter().pattern;
        // Offset of this shard's lines among those of the outputs that write or read them, and lines per output.
        const auto line_lives = [](const std::vector<std::uint8_t>* outputs, index_t first, index_t all) {
            return [outputs, first, of_output = outputs ? all / std::ssize(*outputs) : 1](index_t line) {
                return outputs == nullptr || (*outputs)[(first + line) / of_output] != 0;
            };
        };
        const ChannelBlock& channels = layer.own_channels();
        const Parameter* const weight = is_matrix ? &layer.weight_matrix()->parameter() : nullptr;
        const auto row_lives = line_lives(rows, weight ? weight->first_row : channels.first, channels.total);
        const auto column_lives =
            line_lives(is_matrix ? columns : nullptr, weight ? weight->first_column : 0, tensor_columns);
        std::vector<index_t> now(own.columns());  // new positions of the columns
        index_t columns_left = 0, rows_left = 0;
        for (index_t column = 0; column < own.columns(); ++column) {
            now[column] = columns_left;
            columns_left += column_lives(column);
        }
        Route route{.pattern = {}, .send_order = std::vector<index_t>(), .sizes = {}, .receive_order = {}};
        std::vector<index_t> pointers{0};
        std::vector<std::int32_t> indices;
        const std::vector<std::int32_t> all_columns = own.all_columns();
        for (index_t row = 0; row < own.rows(); ++row) {
            if (!row_lives(row)) continue;
            ++rows_left;
            for (index_t k = own.kept_before(row); k < own.kept_before(row + 1); ++k) {
                const index_t column = all_columns[k];
                if (!column_lives(column)) continue;
                route.send_order->push_back(k);
                indices.push_back(static_cast<std::int32_t>(now[column]));
            }
            pointers.push_back(std::ssize(indices));
        }
        const bool full = std::ssize(indices) == rows_left * columns_left;
        if (grid.shards().all_reduce_max(index_t{full ? 0 : 1}) == 0) route.pattern = Pattern(rows_left, columns_left);
        else route.pattern = Pattern(rows_left, columns_left, std::move(pointers), std::move(indices));
        return route;
    };
    redistribute(from, to, grid, std::move(sharing), route_of);
}

}  // namespace pruntrain
