// Assigns samples to the slices of the batch in each step.
#pragma once

#include <vector>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// A slice of the global batch of a step: a contiguous block. Blocks differ by at most one sample. If there are more
/// slices than samples, some are empty.
struct BatchPart {
    index_t epoch = 0;
    index_t global_samples = 0;  ///< size of the global batch, over all ranks; the last batch of an epoch may be short
    index_t first = 0;           ///< position of the part in the global batch
    index_t samples = 0;         ///< in the part
};

/// The order of the samples is a pure function of (seed, epoch). Every epoch is a new permutation of the training
/// split, cut into global batches, the same for any number of ranks.
class Sampler {
   public:
    Sampler(index_t samples, index_t global_batch, std::uint64_t seed);

    index_t steps_per_epoch() const { return (samples_ + global_batch_ - 1) / global_batch_; }
    BatchPart part(index_t step, index_t slice, index_t slices) const;
    /// Indices in the training split of the samples of a part.
    void draw(index_t step, const BatchPart& part, std::vector<index_t>& numbers) const;

   private:
    index_t samples_;
    index_t global_batch_;
    std::uint64_t seed_;
};

}  // namespace pruntrain
