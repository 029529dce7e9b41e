// Properties of the whole model, over all shards: how many weights remain, and its hash.
#pragma once

#include <span>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/model/model_hash.hpp"
#include "pruntrain/model/network.hpp"

namespace pruntrain {

/// The number of prunable weights, and how many of them remain.
struct PrunableCount {
    index_t size = 0;
    index_t kept = 0;
    double sparsity() const { return size == 0 ? 0 : static_cast<double>(size - kept) / static_cast<double>(size); }
};
/// Counts of the whole model. @param kept  per parameter, from `count_kept`
PrunableCount count_prunable(const Network& network, std::span<const index_t> kept);

/// The number of weights of each parameter before pruning, over all shards.
std::vector<index_t> tensor_sizes(const Network& network);
/// The number of remaining weights of each parameter over all shards. Collective over the ranks of a replica.
std::vector<index_t> count_kept(const Network& network, const Communicator& shards);

/// The outputs of the last layer with weights, as numbers from 0, of which no weight remains. Collective over the ranks
/// of a replica.
std::vector<index_t> outputs_without_weights(Network& network, const Communicator& shards);

/// The weights of one layer in a row of layers.csv.
struct LayerWeights {
    index_t kept = 0;     ///< over all shards
    bool sparse = false;  ///< true if the layer executes sparse
};

/// The hash of the whole model. Collective.
/// @throws std::runtime_error naming the ranks whose replica differs from the root's
ModelHash consistent_model_hash(Network& network, index_t step, const Grid& grid);

}  // namespace pruntrain
