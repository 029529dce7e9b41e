#include "pruntrain/parallel/census.hpp"

#include <array>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/model/weight_matrix.hpp"

namespace pruntrain {

PrunableCount count_prunable(const Network& network, std::span<const index_t> kept) {
    PrunableCount count;
    for (std::size_t i = 0; i < kept.size(); ++i) {
        if (!network.parameters()[i]->prunable) continue;
        count.size += network.parameters()[i]->full_size();
        count.kept += kept[i];
    }
    return count;
}

std::vector<index_t> tensor_sizes(const Network& network) {
    std::vector<index_t> sizes;
    for (const auto* parameter : network.parameters()) sizes.push_back(parameter->full_size());
    return sizes;
}

std::vector<index_t> count_kept(const Network& network, const Communicator& shards) {
    std::vector<std::uint64_t> sums;
    for (const auto* parameter : network.parameters())
        sums.push_back(static_cast<std::uint64_t>(parameter->pattern.kept()));
    shards.all_reduce_sum(std::span(sums));
    return {sums.begin(), sums.end()};
}

std::vector<index_t> outputs_without_weights(Network& network, const Communicator& shards) {
    const Parameter& weight = network.layer(network.layers_with_weights().back()).weight_matrix()->parameter();
    std::vector<std::uint64_t> kept(weight.tensor_shape[0]);
    for (index_t row = 0; row < weight.pattern.rows(); ++row)
        kept[weight.first_row + row] = weight.pattern.kept_before(row + 1) - weight.pattern.kept_before(row);
    shards.all_reduce_sum(std::span(kept));
    std::vector<index_t> dead;
    for (std::size_t output = 0; output < kept.size(); ++output)
        if (kept[output] == 0) dead.push_back(static_cast<index_t>(output));
    return dead;
}

ModelHash consistent_model_hash(Network& network, index_t step, const Grid& grid) {
    const ModelHash own = hash_model(network);
    std::array<std::uint64_t, 2> sums{own.pattern, own.weights};
    grid.shards().all_reduce_sum(std::span<std::uint64_t>(sums));
    const auto patterns = grid.world().all_gather(sums[0]);
    const auto weights = grid.world().all_gather(sums[1]);
    std::vector<std::string> different;
    for (std::size_t rank = 0; rank < patterns.size(); ++rank)
        if (patterns[rank] != patterns[0] || weights[rank] != weights[0]) different.push_back(std::to_string(rank));
    if (!different.empty())
        fault("at step ", step, ", the model of ranks ", join(different),
              " differs from rank 0's, probably by a memory or network fault: "
              "resume from the last checkpoint with --resume");
    return {sums[0], sums[1]};
}

}  // namespace pruntrain
