#include "pruntrain/parallel/shard_cuts.hpp"

#include <algorithm>
#include <numeric>
#include <sstream>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/nn/weight_matrix.hpp"
#include "pruntrain/parallel/optimizer_shards.hpp"

namespace pruntrain {

namespace {

std::vector<Layer*> layers_with_weights(Network& network) {
    std::vector<Layer*> layers;
    for (std::size_t i = 0; i < network.layer_count(); ++i)
        if (network.layer(i).weight_matrix() != nullptr) layers.push_back(&network.layer(i));
    return layers;
}

}  // namespace

std::vector<SparseLayer> sparse_layers(Network& network, const Communicator& shards) {
    std::vector<SparseLayer> sparse;
    const std::vector<Layer*> layers = layers_with_weights(network);
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const ChannelBlock& outputs = layers[i]->own_channels();
        std::vector<std::uint64_t> weights(static_cast<std::size_t>(outputs.total));
        bool any_sparse = false;
        if (!layers[i]->computes_terms()) {
            const WeightMatrix& matrix = *layers[i]->weight_matrix();
            any_sparse = matrix.sparse();
            std::ranges::copy(matrix.parameter().pattern.row_sizes(), weights.begin() + outputs.first);
        }
        if (i + 1 < layers.size() && layers[i + 1]->computes_terms()) {
            const WeightMatrix& matrix = *layers[i + 1]->weight_matrix();
            any_sparse = any_sparse || matrix.sparse();
            const Pattern& pattern = matrix.parameter().pattern;
            const index_t of_output = pattern.columns() / outputs.of(shards.rank()).size;
            for (const std::int32_t column : pattern.all_columns())
                ++weights[static_cast<std::size_t>(outputs.first + column / of_output)];
        }
        if (!any_sparse) continue;
        shards.sum(std::span(weights));
        sparse.push_back({layers[i]->name(), {weights.begin(), weights.end()}, outputs.begins});
    }
    return sparse;
}

double imbalance(std::span<const SparseLayer> layers) {
    index_t fullest = 0, all = 0, shards = 1;
    for (const SparseLayer& layer : layers) {
        shards = static_cast<index_t>(layer.begins.size()) - 1;
        index_t most = 0;
        for (std::size_t shard = 0; shard + 1 < layer.begins.size(); ++shard) {
            const index_t own = std::accumulate(layer.weights.begin() + layer.begins[shard],
                                                layer.weights.begin() + layer.begins[shard + 1], index_t{0});
            most = std::max(most, own);
            all += own;
        }
        fullest += most;
    }
    return all == 0 ? 1 : static_cast<double>(fullest * shards) / static_cast<double>(all);
}

namespace {

/// Fills one block after the other up to `most` weights, and leaves a row for each block that follows.
/// @return as `balanced_cut`; the last block may have more
std::vector<index_t> filled_to(index_t most, std::span<const index_t> weights, index_t shards) {
    const auto rows = static_cast<index_t>(weights.size());
    std::vector<index_t> begins{0};
    for (index_t shard = 1; shard < shards; ++shard) {
        index_t row = begins.back(), sum = 0;
        do sum += weights[static_cast<std::size_t>(row++)];
        while (row < rows - (shards - shard) && sum + weights[static_cast<std::size_t>(row)] <= most);
        begins.push_back(row);
    }
    begins.push_back(rows);
    return begins;
}

}  // namespace

std::vector<index_t> balanced_cut(std::span<const index_t> weights, index_t shards) {
    // The smallest size that suffices for all blocks, by bisection.
    const auto suffices = [&](index_t most) {
        const auto begins = filled_to(most, weights, shards);
        for (std::size_t shard = 0; shard + 1 < begins.size(); ++shard)
            if (std::accumulate(weights.begin() + begins[shard], weights.begin() + begins[shard + 1], index_t{0}) >
                most)
                return false;
        return true;
    };
    index_t low = 0, high = std::accumulate(weights.begin(), weights.end(), index_t{0});
    while (low < high) {
        const index_t middle = low + (high - low) / 2;
        if (suffices(middle)) high = middle;
        else low = middle + 1;
    }
    return filled_to(high, weights, shards);
}

std::string text_of(const ShardCuts& cuts) {
    std::vector<std::string> layers;
    for (const auto& [name, begins] : cuts) {
        std::vector<std::string> words{name};
        for (const index_t begin : begins) words.push_back(std::to_string(begin));
        layers.push_back(join(words, " "));
    }
    return join(layers, ", ");
}

ShardCuts cuts_of(const std::string& text) {
    ShardCuts cuts;
    std::istringstream layers(text);
    for (std::string layer; std::getline(layers, layer, ',');) {
        std::istringstream words(layer);
        std::string name;
        words >> name;
        std::vector<index_t> begins;
        for (index_t begin = 0; words >> begin;) begins.push_back(begin);
        if (!words.eof() || begins.size() < 2 || begins.front() != 0 ||
            std::ranges::adjacent_find(begins, std::greater_equal<>()) != begins.end())
            input_error("the cuts of a model are '", text, "': expected the name of each layer and ascending rows");
        cuts[name] = begins;
    }
    return cuts;
}

namespace {

/// How many numbers of a tensor go to each shard, and how many come from each.
struct Sizes {
    std::vector<std::size_t> to, from;
};

template <class T>
std::vector<T> exchange(std::span<const T> own, const Sizes& sizes, const Communicator& shards) {
    std::vector<T> received(std::accumulate(sizes.from.begin(), sizes.from.end(), std::size_t{0}));
    shards.exchange_blocks(own, sizes.to, std::span<T>(received), sizes.from);
    return received;
}

/// The lines (rows or columns) that this shard has under one cut and another shard under the other one: first, last +
/// 1, both within this shard's block.
std::pair<index_t, index_t> common_lines(const Block& own, const Block& other) {
    const index_t first = std::clamp(other.first - own.first, index_t{0}, own.size);
    return {first, std::clamp(other.first + other.size - own.first, first, own.size)};
}

/// How the numbers of a tensor move.
struct Way {
    Pattern pattern;  ///< where they come to
    Sizes sizes;
    /// Packed positions in the order in which they leave, and in the order in which they come; empty: as they are.
    std::vector<index_t> leave, come;

    template <class T>
    std::vector<T> move(std::span<const T> own, const Communicator& shards) const {
        if (leave.empty()) return exchange(own, sizes, shards);
        std::vector<T> sent, placed(come.size());
        for (const index_t k : leave) sent.push_back(own[static_cast<std::size_t>(k)]);
        const std::vector<T> received = exchange(std::span<const T>(sent), sizes, shards);
        for (std::size_t i = 0; i < come.size(); ++i) placed[static_cast<std::size_t>(come[i])] = received[i];
        return placed;
    }
};

/// From one cut to another.
class Move {
   public:
    Move(const ChannelBlock& from, const ChannelBlock& to, const Communicator& shards)
        : from_(from), to_(to), shards_(shards), old_(from.of(shards.rank())), new_(to.of(shards.rank())) {}

    /// @param before  numbers before a line of the old and of the new block
    template <class Old, class New>
    Sizes sizes(Old old_before, New new_before) const {
        Sizes sizes;
        for (index_t shard = 0; shard < shards_.size(); ++shard) {
            const auto [to_first, to_last] = common_lines(old_, to_.of(shard));
            const auto [from_first, from_last] = common_lines(new_, from_.of(shard));
            sizes.to.push_back(static_cast<std::size_t>(old_before(to_last) - old_before(to_first)));
            sizes.from.push_back(static_cast<std::size_t>(new_before(from_last) - new_before(from_first)));
        }
        return sizes;
    }

    /// Of a matrix whose rows are cut. Collective.
    Way way_of_rows(const Pattern& own) const {
        const index_t columns = own.columns();
        if (shards_.largest(index_t{own.full() ? 0 : 1}) == 0) {
            const auto before = [columns](index_t row) { return row * columns; };
            return {{new_.size, columns}, sizes(before, before), {}, {}};
        }
        const auto itself = [](index_t row) { return row; };
        std::vector<index_t> pointers =
            Pattern::pointers_of(exchange(std::span<const index_t>(own.row_sizes()), sizes(itself, itself), shards_));
        const Sizes numbers = sizes([&](index_t row) { return own.kept_before(row); },
                                    [&](index_t row) { return pointers[static_cast<std::size_t>(row)]; });
        return {{new_.size, columns, std::move(pointers),
                 exchange(std::span<const std::int32_t>(own.all_columns()), numbers, shards_)},
                numbers,
                {},
                {}};
    }

    /// Of a matrix whose columns are cut; `from` and `to` count columns. Collective.
    Way way_of_columns(const Pattern& own) const {
        Way way;
        std::vector<index_t> ends{0};  // of the blocks of columns that leave
        for (index_t shard = 0; shard < shards_.size(); ++shard)
            ends.push_back(std::max(ends.back(), common_lines(old_, to_.of(shard)).second));
        const std::vector<index_t> leaving = sizes_in_blocks(own, ends);
        const auto rows = static_cast<std::size_t>(own.rows());
        const Sizes of_rows{std::vector(static_cast<std::size_t>(shards_.size()), rows),
                            std::vector(static_cast<std::size_t>(shards_.size()), rows)};
        const auto coming = exchange(std::span<const index_t>(leaving), of_rows, shards_);
        way.leave = places_side_by_side(leaving, own.rows());
        way.come = places_side_by_side(coming, own.rows());
        for (auto [all, of_shards] : {std::pair(&leaving, &way.sizes.to), std::pair(&coming, &way.sizes.from)})
            for (auto block = all->begin(); block != all->end(); block += own.rows())
                of_shards->push_back(std::accumulate(block, block + own.rows(), std::size_t{0}));
        if (shards_.largest(index_t{own.full() ? 0 : 1}) == 0) {
            way.pattern = Pattern(own.rows(), new_.size);
            return way;
        }
        std::vector<std::int32_t> columns = own.all_columns();
        for (std::int32_t& column : columns) column += static_cast<std::int32_t>(old_.first);
        columns = way.move(std::span<const std::int32_t>(columns), shards_);
        for (std::int32_t& column : columns) column -= static_cast<std::int32_t>(new_.first);
        std::vector<index_t> of_row(rows);
        for (std::size_t i = 0; i < coming.size(); ++i) of_row[i % rows] += coming[i];
        way.pattern = Pattern(own.rows(), new_.size, Pattern::pointers_of(of_row), std::move(columns));
        return way;
    }

   private:
    ChannelBlock from_, to_;
    const Communicator& shards_;
    Block old_, new_;
};

/// How the columns of a weight are cut, of which each input channel has so many.
ChannelBlock columns_of(const ChannelBlock& channels, index_t of_channel) {
    ChannelBlock columns{channels.first * of_channel, channels.total * of_channel, channels.begins};
    for (index_t& begin : columns.begins) begin *= of_channel;
    return columns;
}

}  // namespace

void move_weights(Network& from, Network& to, const Grid& grid, std::optional<SlotSharing> sharing) {
    const Communicator& shards = grid.shards();
    Arena &old_arena = from.arena(), &arena = to.arena();
    const std::size_t count = arena.parameters().size();
    std::vector<Way> ways(count);  // of each parameter, in the order of the arena, as what follows
    std::vector<Pattern> patterns(count);
    std::vector<std::vector<real>> values(count);
    std::size_t next = count;  // the arena runs from the last layer to the first
    for (std::size_t i = 0; i < from.layer_count(); ++i) {
        Layer &old_layer = from.layer(i), &layer = to.layer(i);
        const auto parameters = old_layer.parameters();
        const auto old_statistics = old_layer.statistics(), statistics = layer.statistics();
        if (parameters.empty() && statistics.empty()) continue;
        const Move outputs(old_layer.own_channels(), layer.own_channels(), shards);
        for (const Parameter* parameter : parameters) {
            Way& way = ways[--next];
            if (parameter->has_all_columns()) {
                way = outputs.way_of_rows(parameter->pattern);
            } else {
                const ChannelBlock &old_inputs = old_layer.input_channels(), &inputs = layer.input_channels();
                const index_t of_channel = parameter->tensor_columns() / inputs.total;
                way = Move(columns_of(old_inputs, of_channel), columns_of(inputs, of_channel), shards)
                          .way_of_columns(parameter->pattern);
            }
            patterns[next] = std::move(way.pattern);
            values[next] = way.move(std::span<const real>(parameter->value), shards);
        }
        const auto itself = [](index_t row) { return row; };
        for (std::size_t k = 0; k < statistics.size(); ++k)
            statistics[k]->values =
                exchange(std::span<const real>(old_statistics[k]->values), outputs.sizes(itself, itself), shards);
    }
    arena.reset(patterns);
    for (std::size_t i = 0; i < count; ++i) {
        std::ranges::copy(values[i], arena.parameters()[i]->value.begin());
        values[i] = {};
    }
    arena.create_slots(old_arena.slot_names(), std::move(sharing));
    for (std::size_t slot = 0; slot < arena.slot_names().size(); ++slot) {
        AlignedVector<real> whole(static_cast<std::size_t>(old_arena.size()));
        gather_slot(old_arena, slot, grid.replicas(), whole);
        const std::span<const real> all(whole);
        for (std::size_t i = 0; i < count; ++i) {
            const auto moved = ways[i].move(
                all.subspan(static_cast<std::size_t>(old_arena.offset(i)), old_arena.parameters()[i]->value.size()),
                shards);
            const Block own = arena.slot_range(i);
            std::copy_n(moved.begin() + (own.first - arena.offset(i)), own.size,
                        arena.slot(slot).begin() + (own.first - arena.slot_range().first));
        }
    }
}

}  // namespace pruntrain
