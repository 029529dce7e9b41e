#include "pruntrain/parallel/partition.hpp"

#include <algorithm>
#include <numeric>
#include <sstream>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/model/weight_matrix.hpp"
#include "pruntrain/parallel/redistribution.hpp"

namespace pruntrain {

std::vector<SparseLayer> sparse_layers(Network& network, const Communicator& shards) {
    std::vector<SparseLayer> sparse;
    const std::vector<std::size_t> numbers = network.layers_with_weights();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        Layer& layer = network.layer(numbers[i]);
        const ChannelBlock& outputs = layer.own_channels();
        std::vector<std::uint64_t> weights(outputs.total);
        bool any_sparse = false;
        if (!layer.computes_partial_sums()) {
            const WeightMatrix& matrix = *layer.weight_matrix();
            any_sparse = matrix.sparse();
            std::ranges::copy(matrix.parameter().pattern.row_sizes(), weights.begin() + outputs.first);
        }
        if (i + 1 < numbers.size() && network.layer(numbers[i + 1]).computes_partial_sums()) {
            const WeightMatrix& matrix = *network.layer(numbers[i + 1]).weight_matrix();
            any_sparse = any_sparse || matrix.sparse();
            const Pattern& pattern = matrix.parameter().pattern;
            const index_t of_output = pattern.columns() / outputs.of(shards.rank()).size;
            for (const std::int32_t column : pattern.all_columns()) ++weights[outputs.first + column / of_output];
        }
        if (!any_sparse) continue;
        shards.all_reduce_sum(std::span(weights));
        sparse.push_back({layer.name(), {weights.begin(), weights.end()}, outputs.offsets});
    }
    return sparse;
}

double imbalance(std::span<const SparseLayer> layers) {
    index_t fullest = 0, all = 0, shards = 1;
    for (const SparseLayer& layer : layers) {
        shards = static_cast<index_t>(layer.offsets.size()) - 1;
        index_t most = 0;
        for (std::size_t shard = 0; shard + 1 < layer.offsets.size(); ++shard) {
            const index_t own = std::accumulate(layer.weights.begin() + layer.offsets[shard],
                                                layer.weights.begin() + layer.offsets[shard + 1], index_t{0});
            most = std::max(most, own);
            all += own;
        }
        fullest += most;
    }
    return all == 0 ? 1 : static_cast<double>(fullest * shards) / static_cast<double>(all);
}

namespace {

/// Fills the blocks in order with up to `most` weights each, and leaves a row for each following block.
/// @return as `balanced_cut`; the last block may have more
std::vector<index_t> filled_to(index_t most, std::span<const index_t> weights, index_t shards) {
    const index_t rows = weights.size();
    std::vector<index_t> offsets{0};
    index_t row = 0;
    for (index_t shard = 1; shard < shards; ++shard) {
        index_t sum = 0;
        do sum += weights[row++];
        while (row < rows - (shards - shard) && sum + weights[row] <= most);
        offsets.push_back(row);
    }
    offsets.push_back(rows);
    return offsets;
}

}  // namespace

std::vector<index_t> balanced_cut(std::span<const index_t> weights, index_t shards) {
    // The smallest limit that suffices for all blocks, by bisection.
    const auto suffices = [&](index_t most) {
        const auto offsets = filled_to(most, weights, shards);
        for (std::size_t shard = 0; shard + 1 < offsets.size(); ++shard)
            if (std::accumulate(weights.begin() + offsets[shard], weights.begin() + offsets[shard + 1], index_t{0}) >
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

std::string partition_text(const Partition& cuts) {
    std::vector<std::string> layers;
    for (const auto& [name, offsets] : cuts) {
        std::vector<std::string> words{name};
        for (const index_t begin : offsets) words.push_back(std::to_string(begin));
        layers.push_back(join(words, " "));
    }
    return join(layers, ", ");
}

Partition parse_partition(const std::string& text) {
    Partition cuts;
    std::istringstream layers(text);
    for (std::string layer; std::getline(layers, layer, ',');) {
        std::istringstream words(layer);
        std::string name;
        words >> name;
        std::vector<index_t> offsets;
        for (index_t begin = 0; words >> begin;) offsets.push_back(begin);
        if (!words.eof() || offsets.size() < 2 || offsets.front() != 0 ||
            std::ranges::adjacent_find(offsets, std::greater_equal<>()) != offsets.end())
            input_error("the partition of a model is '", text, "': expected the name of each layer and ascending rows");
        cuts[name] = offsets;
    }
    return cuts;
}

Partition even_partition(const Partition& cuts, index_t shards) {
    Partition even;
    for (const auto& [name, offsets] : cuts)
        for (index_t shard = 0; shard <= shards; ++shard)
            even[name].push_back(even_block(offsets.back(), shard, shards).first);
    return even;
}

namespace {

/// The lines (rows or columns) that this shard has in one partition and another shard in the other: first, last + 1,
/// both relative to this shard's block.
std::pair<index_t, index_t> common_lines(const Block& own, const Block& other) {
    const index_t first = std::clamp(other.first - own.first, index_t{0}, own.size);
    return {first, std::clamp(other.first + other.size - own.first, first, own.size)};
}

/// The sum of each block of `size` values.
std::vector<std::size_t> sums_of(std::span<const index_t> numbers, std::size_t size) {
    std::vector<std::size_t> sums;
    for (; !numbers.empty(); numbers = numbers.subspan(size)) {
        const auto block = numbers.first(size);
        sums.push_back(static_cast<std::size_t>(std::accumulate(block.begin(), block.end(), index_t{0})));
    }
    return sums;
}

/// Between two partitions.
class Move {
   public:
    Move(const ChannelBlock& from, const ChannelBlock& to, const Communicator& shards)
        : from_(from), to_(to), shards_(shards), old_(from.of(shards.rank())), new_(to.of(shards.rank())) {}

    /// @param before  elements before a line of the old and of the new block
    template <class Old, class New>
    MoveSizes sizes(Old old_before, New new_before) const {
        MoveSizes sizes;
        for (index_t shard = 0; shard < shards_.size(); ++shard) {
            const auto [to_first, to_last] = common_lines(old_, to_.of(shard));
            const auto [from_first, from_last] = common_lines(new_, from_.of(shard));
            sizes.to.push_back(static_cast<std::size_t>(old_before(to_last) - old_before(to_first)));
            sizes.from.push_back(static_cast<std::size_t>(new_before(from_last) - new_before(from_first)));
        }
        return sizes;
    }

    /// For a matrix whose rows are partitioned. Collective.
    Route route_of_rows(const Pattern& own) const {
        const index_t columns = own.columns();
        if (shards_.all_reduce_max(index_t{own.full() ? 0 : 1}) == 0) {
            const auto before = [columns](index_t row) { return row * columns; };
            return {
                .pattern = {new_.size, columns}, .send_order = {}, .sizes = sizes(before, before), .receive_order = {}};
        }
        const auto itself = [](index_t row) { return row; };
        std::vector<index_t> pointers =
            Pattern::pointers_of(sizes(itself, itself).exchange(std::span<const index_t>(own.row_sizes()), shards_));
        MoveSizes numbers =
            sizes([&](index_t row) { return own.kept_before(row); }, [&](index_t row) { return pointers[row]; });
        auto indices = numbers.exchange(std::span<const std::int32_t>(own.all_columns()), shards_);
        return {.pattern = {new_.size, columns, std::move(pointers), std::move(indices)},
                .send_order = {},
                .sizes = std::move(numbers),
                .receive_order = {}};
    }

    /// For a matrix whose columns are partitioned; `from` and `to` count columns. Collective.
    Route route_of_columns(const Pattern& own) const {
        const auto shards = static_cast<std::size_t>(shards_.size()), rows = static_cast<std::size_t>(own.rows());
        std::vector<index_t> ends{0};  // of the blocks of columns that are sent
        for (index_t shard = 0; shard < shards_.size(); ++shard)
            ends.push_back(std::max(ends.back(), common_lines(old_, to_.of(shard)).second));
        const std::vector<index_t> sent = sizes_in_blocks(own, ends);
        const MoveSizes of_rows{std::vector(shards, rows), std::vector(shards, rows)};
        const auto received = of_rows.exchange(std::span<const index_t>(sent), shards_);
        Route route{.pattern = {own.rows(), new_.size},
                    .send_order = places_side_by_side(sent, own.rows()),
                    .sizes = MoveSizes{sums_of(sent, rows), sums_of(received, rows)},
                    .receive_order = places_side_by_side(received, own.rows())};
        if (shards_.all_reduce_max(index_t{own.full() ? 0 : 1}) == 0) return route;
        std::vector<std::int32_t> columns = own.all_columns();
        for (std::int32_t& column : columns) column += static_cast<std::int32_t>(old_.first);
        columns = route.move(std::span<const std::int32_t>(columns), shards_);
        for (std::int32_t& column : columns) column -= static_cast<std::int32_t>(new_.first);
        const auto of_rows_now = row_sizes_side_by_side(received, own.rows());
        route.pattern = Pattern(own.rows(), new_.size, Pattern::pointers_of(of_rows_now), std::move(columns));
        return route;
    }

   private:
    ChannelBlock from_, to_;
    const Communicator& shards_;
    Block old_, new_;
};

/// The column partition of a weight with so many columns per input channel.
ChannelBlock columns_of(const ChannelBlock& channels, index_t of_channel) {
    ChannelBlock columns{channels.first * of_channel, channels.total * of_channel, channels.offsets};
    for (index_t& begin : columns.offsets) begin *= of_channel;
    return columns;
}

}  // namespace

void repartition_network(Network& from, Network& to, const Grid& grid, std::optional<StatePartition> sharing) {
    const Communicator& shards = grid.shards();
    redistribute(from, to, grid, std::move(sharing),
                 [&](std::size_t layer, const Pattern& pattern, bool all_columns, index_t tensor_columns) {
                     const Layer &old = from.layer(layer), &now = to.layer(layer);
                     if (all_columns)
                         return Move(old.own_channels(), now.own_channels(), shards).route_of_rows(pattern);
                     const index_t of_channel = tensor_columns / now.input_channels().total;
                     return Move(columns_of(old.input_channels(), of_channel),
                                 columns_of(now.input_channels(), of_channel), shards)
                         .route_of_columns(pattern);
                 });
}

}  // namespace pruntrain
