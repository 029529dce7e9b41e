// Facts about the whole model, over all shards: how many weights remain, and its hash.
#pragma once

#include <span>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/model/model_hash.hpp"
#include "pruntrain/model/network.hpp"

namespace pruntrain {

/// Weights that may be pruned, and how many of them are left.
struct PrunableCount {
    index_t size = 0;
    index_t kept = 0;
    double sparsity() const { return size == 0 ? 0 : static_cast<double>(size - kept) / static_cast<double>(size); }
};
/// Of the whole model. @param kept  of each parameter, as `count_kept` gives it
PrunableCount count_prunable(const Network& network, std::span<const index_t> kept);

/// The weights of each parameter before any pruning, over all shards.
std::vector<index_t> tensor_sizes(const Network& network);
/// The kept weights of each parameter over all shards. Collective over the ranks of a replica.
std::vector<index_t> count_kept(const Network& network, const Communicator& shards);

/// What a row says of one layer with a weight: a line of layers.csv.
struct LayerWeights {
    index_t kept = 0;     ///< over all shards
    bool sparse = false;  ///< executes it sparse
};

/// The hash of the whole model. Collective.
/// @throws std::runtime_error naming the ranks whose replica differs from the root's
ModelHash consistent_model_hash(Network& network, index_t step, const Grid& grid);

}  // namespace pruntrain
