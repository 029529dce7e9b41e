#include "pruntrain/parallel/shard_cuts.hpp"

#include <algorithm>
#include <numeric>
#include <sstream>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/nn/weight_matrix.hpp"

namespace pruntrain {

std::vector<SparseLayer> sparse_layers(Network& network, const Communicator& shards) {
    std::vector<SparseLayer> layers;
    for (std::size_t i = 0; i < network.layer_count(); ++i) {
        Layer& layer = network.layer(i);
        if (layer.weight_matrix() == nullptr || !layer.weight_matrix()->sparse()) continue;
        const Parameter& weight = layer.weight_matrix()->parameter();
        std::vector<std::uint64_t> rows(static_cast<std::size_t>(layer.output_channels().total));
        std::ranges::copy(weight.pattern.row_sizes(), rows.begin() + weight.first_row);
        shards.sum(std::span(rows));
        layers.push_back({layer.name(), {rows.begin(), rows.end()}, layer.output_channels().begins});
    }
    return layers;
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

/// The rows that this shard has under one cut and another shard under the other one: first, last + 1, both within this
/// shard's block.
std::pair<index_t, index_t> common_rows(const Block& own, const Block& other) {
    const index_t first = std::clamp(other.first - own.first, index_t{0}, own.size);
    return {first, std::clamp(other.first + other.size - own.first, first, own.size)};
}

class Move {
   public:
    Move(const ChannelBlock& from, const ChannelBlock& to, const Communicator& shards)
        : from_(from), to_(to), shards_(shards), old_(from.of(shards.rank())), new_(to.of(shards.rank())) {}

    /// @param before  numbers before a row of the old and of the new block
    template <class Old, class New>
    Sizes sizes(Old old_before, New new_before) const {
        Sizes sizes;
        for (index_t shard = 0; shard < shards_.size(); ++shard) {
            const auto [to_first, to_last] = common_rows(old_, to_.of(shard));
            const auto [from_first, from_last] = common_rows(new_, from_.of(shard));
            sizes.to.push_back(static_cast<std::size_t>(old_before(to_last) - old_before(to_first)));
            sizes.from.push_back(static_cast<std::size_t>(new_before(from_last) - new_before(from_first)));
        }
        return sizes;
    }

    /// The pattern of the new block. Collective. @param numbers  set: how its packed numbers move
    Pattern pattern(const Pattern& own, Sizes& numbers) const {
        const index_t columns = own.columns();
        if (shards_.largest(index_t{own.full() ? 0 : 1}) == 0) {
            const auto before = [columns](index_t row) { return row * columns; };
            numbers = sizes(before, before);
            return {new_.size, columns};
        }
        const auto itself = [](index_t row) { return row; };
        std::vector<index_t> pointers =
            Pattern::pointers_of(exchange(std::span<const index_t>(own.row_sizes()), sizes(itself, itself), shards_));
        numbers = sizes([&](index_t row) { return own.kept_before(row); },
                        [&](index_t row) { return pointers[static_cast<std::size_t>(row)]; });
        return {new_.size, columns, std::move(pointers),
                exchange(std::span<const std::int32_t>(own.all_columns()), numbers, shards_)};
    }

   private:
    const ChannelBlock& from_;
    const ChannelBlock& to_;
    const Communicator& shards_;
    Block old_, new_;
};

/// The numbers of a slot for all weights of this rank's shard.
AlignedVector<real> whole_slot(Arena& arena, std::size_t number, const Communicator& replicas) {
    AlignedVector<real> whole(static_cast<std::size_t>(arena.size()));
    const auto own = arena.slot(number);
    if (arena.shares_slots()) replicas.gather_blocks_to_all(own, whole, replicas.gather_to_all(own.size()));
    else std::ranges::copy(own, whole.begin());
    return whole;
}

}  // namespace

void move_rows(Network& from, Network& to, const Grid& grid, std::optional<SlotSharing> sharing) {
    const Communicator& shards = grid.shards();
    Arena &old_arena = from.arena(), &arena = to.arena();
    const std::size_t count = arena.parameters().size();
    std::vector<Sizes> numbers(count);  // of each parameter, in the order of the arena, as what follows
    std::vector<Pattern> patterns(count);
    std::vector<std::vector<real>> values(count);
    std::size_t next = count;  // the arena runs from the last layer to the first
    for (std::size_t i = 0; i < from.layer_count(); ++i) {
        Layer &old_layer = from.layer(i), &layer = to.layer(i);
        const auto parameters = old_layer.parameters();
        const auto old_statistics = old_layer.statistics(), statistics = layer.statistics();
        if (parameters.empty() && statistics.empty()) continue;
        const Move move(old_layer.output_channels(), layer.output_channels(), shards);
        for (const Parameter* parameter : parameters) {
            --next;
            patterns[next] = move.pattern(parameter->pattern, numbers[next]);
            values[next] = exchange(std::span<const real>(parameter->value), numbers[next], shards);
        }
        const auto itself = [](index_t row) { return row; };
        for (std::size_t k = 0; k < statistics.size(); ++k)
            statistics[k]->values =
                exchange(std::span<const real>(old_statistics[k]->values), move.sizes(itself, itself), shards);
    }
    arena.reset(patterns);
    for (std::size_t i = 0; i < count; ++i) {
        std::ranges::copy(values[i], arena.parameters()[i]->value.begin());
        values[i] = {};
    }
    arena.create_slots(old_arena.slot_names(), std::move(sharing));
    for (std::size_t slot = 0; slot < arena.slot_names().size(); ++slot) {
        const AlignedVector<real> whole = whole_slot(old_arena, slot, grid.replicas());
        const std::span<const real> all(whole);
        for (std::size_t i = 0; i < count; ++i) {
            const auto moved = exchange(
                all.subspan(static_cast<std::size_t>(old_arena.offset(i)), old_arena.parameters()[i]->value.size()),
                numbers[i], shards);
            const Block own = arena.slot_range(i);
            std::copy_n(moved.begin() + (own.first - arena.offset(i)), own.size,
                        arena.slot(slot).begin() + (own.first - arena.slot_range().first));
        }
    }
}

}  // namespace pruntrain
