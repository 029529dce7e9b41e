// The memory of a rank, counted before there is one.
#pragma once

#include "pruntrain/train/experiment.hpp"

namespace pruntrain {

/// What the packed arrays and patterns of a model, or of a shard of it, are made of.
struct PackedSizes {
    index_t size = 0;
    index_t prunable = 0;
    index_t pointers = 0;  ///< of the rows of all patterns
    index_t largest = 0;   ///< tensor

    /// Of so many arrays, when so many weights are gone.
    double bytes(index_t removed, double arrays) const;
};
PackedSizes packed_model(const Network& network);
PackedSizes packed_shard(const Network& network);

/// Of so many weights that the model loses, those of this shard: shards lose about alike.
index_t removed_of_shard(const Network& network, index_t removed);

/// In bytes.
struct RankMemory {
    double packed = 0;       ///< values, gradients, slots and patterns
    double activations = 0;  ///< with their gradients and scratch
    double unpacked = 0;     ///< weights that layers hold besides while they execute dense and have lost some
    double plans = 0;        ///< when all layers that have lost weights execute sparse
    double event = 0;        ///< for a moment, while weights are scored and removed

    double total() const { return packed + activations + plans; }
};
/// @param removed  weights that the whole model has lost
RankMemory memory_of_rank(const Experiment& experiment, index_t removed);

}  // namespace pruntrain
