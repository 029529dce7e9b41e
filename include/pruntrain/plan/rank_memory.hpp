// Predicts the memory of a rank.
#pragma once

#include "pruntrain/train/experiment.hpp"

namespace pruntrain {

/// The sizes that determine the packed arrays and patterns of a model or shard.
struct PackedSizes {
    index_t size = 0;
    index_t prunable = 0;
    index_t pointers = 0;  ///< row pointers of all patterns
    index_t largest = 0;   ///< the largest tensor

    /// Bytes of this number of packed arrays after weights were removed.
    double bytes(index_t removed, double arrays) const;
};
PackedSizes packed_model(const Network& network);
PackedSizes packed_shard(const Network& network);

/// Estimates how many of the weights removed from the model belong to this shard: shards lose about equally many.
index_t removed_of_shard(const Network& network, index_t removed);

/// In bytes.
struct RankMemory {
    double packed = 0;       ///< values, gradients, optimizer state and patterns
    double activations = 0;  ///< with their gradients and scratch
    double unpacked = 0;     ///< dense copies of pruned weights in layers that execute dense
    double plans = 0;        ///< if all pruned layers execute sparse
    double event = 0;        ///< temporary, while weights are scored and removed

    double total() const { return packed + activations + plans; }
};
/// @param removed  weights removed from the whole model
RankMemory memory_of_rank(const Experiment& experiment, index_t removed);

}  // namespace pruntrain
