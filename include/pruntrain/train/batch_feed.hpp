// Assembles the batches of a training run in this rank's memory.
#pragma once

#include <optional>
#include <vector>

#include "pruntrain/data/dataset.hpp"
#include "pruntrain/data/sampler.hpp"
#include "pruntrain/model/layer.hpp"
#include "pruntrain/parallel/slices.hpp"

namespace pruntrain {

/// This rank's slices of a global batch.
struct Batch {
    std::vector<Slice> slices;  ///< their inputs are in the feed
    index_t global_samples = 0;
    std::vector<float> targets;  ///< of the slices, concatenated

    index_t samples() const;  ///< of this rank
};

/// Assembles batches in separate memory. A batch can be prepared while other ranks are busy or the network computes
/// something else.
class BatchFeed {
   public:
    /// @param slice_samples  maximum of a slice
    BatchFeed(const Dataset& dataset, const Sampler& sampler, const Slices& slices, index_t slice_samples)
        : dataset_(dataset), sampler_(sampler), slices_(slices), slice_samples_(slice_samples) {}

    /// The batch of a step is assembled in tiles of this width.
    bool is_ready(index_t step, index_t width) const { return step == step_ && width == width_; }
    /// The batch of a step, in tiles of this width. Valid until another one is requested or prepared.
    const Batch& batch(index_t step, index_t width) {
        prepare(step, width, std::nullopt);
        return batch_;
    }
    /// Assembles the batch, unless it is already there.
    /// @param after  the following step: its samples are prefetched if they are not in this node's memory
    void prepare(index_t step, index_t width, std::optional<index_t> after);

   private:
    const Dataset& dataset_;
    const Sampler& sampler_;
    Slices slices_;
    index_t slice_samples_;
    index_t step_ = -1, width_ = 0;  ///< of the current batch; -1: none
    Batch batch_;
    AlignedVector<real> inputs_;  ///< (slice, tile, feature, sample)
    std::vector<index_t> indices_;
};

}  // namespace pruntrain
