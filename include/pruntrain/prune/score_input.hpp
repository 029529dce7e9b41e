// The input of a criterion besides the weights: one value per weight, computed at a prune event.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/parallel/slices.hpp"

namespace pruntrain {

/// Batches of the training split, smaller than those of training, whose gradients are used one by one.
struct MicroBatches {
    index_t samples = 0;  ///< of each micro-batch
    index_t count = 0;    ///< per event, over all ranks
};

/// The services for computing a score input: the network with its current weights, training data, and the ranks. The
/// trainer implements it, and `sensitivity`, on a single rank.
class ScoreContext {
   public:
    ScoreContext(Network& network_of, const Grid& grid_of, const Slices& slices_of, index_t step_of)
        : network(network_of), grid(grid_of), slices(slices_of), step(step_of) {}
    virtual ~ScoreContext() = default;
    ScoreContext(const ScoreContext&) = delete;
    ScoreContext& operator=(const ScoreContext&) = delete;

    struct LossOptions {
        real temperature = 1;             ///< the outputs are divided by it before the loss
        Choices choices = Choices::free;  ///< of relu and max-pool
    };
    /// Computes the gradient of the loss of the training batch of `step`, summed over all replicas, into the arena's
    /// gradients. Collective.
    virtual void find_loss_gradient(const LossOptions& options) = 0;
    /// Computes the gradient of the mean loss of one micro-batch, on this rank alone, as in an evaluation: without
    /// dropout, with the running statistics of batch-norm. @param number  index of the micro-batch @param gradient
    /// set: of the arena's size
    virtual void find_micro_batch_gradient(const MicroBatches& micro_batches, index_t number,
                                           std::span<real> gradient) = 0;
    /// Sums over the slices of all replicas into the arena's gradients, in the order of a training step's sums.
    /// Collective.
    /// @param set  computes the contribution of one slice of this rank, of the arena's size
    using SetSlice = std::function<void(index_t slice, std::span<real> values)>;
    virtual void sum_over_slices(const SetSlice& set) = 0;
    /// The training batch of `step`, for a forward as in an evaluation.
    virtual NetworkStep evaluation_step() = 0;

    Network& network;
    const Grid& grid;
    const Slices& slices;
    index_t step;
};

/// Updates the remaining weights when others are removed.
class Compensation {
   public:
    virtual ~Compensation() = default;
    /// Call it before the weights are removed. Collective over the replicas. @param keep  as for `Arena::keep`
    virtual void compensate(Arena& arena, const std::vector<std::vector<std::uint8_t>>& keep) = 0;
};

/// One quantity that criteria or regrowth use. A criterion with its own quantity defines it in its own file.
class ScoreInput {
   public:
    virtual ~ScoreInput() = default;

    /// Sets the arena's gradients to the quantity; weights are unchanged. Collective over the grid.
    /// @return null, or an object that updates the remaining weights
    virtual std::unique_ptr<Compensation> find(ScoreContext& context) const = 0;

    /// Number of temporary arrays of the arena's size in `find`. @param slices  of a rank
    virtual index_t arrays_held(index_t replicas, index_t slices) const = 0;

    /// Without defaults: a new quantity answers every question, and the compiler warns of one that is left out.
    struct Requirements {
        bool gradients_only;  ///< uses gradients of the loss only, so it can be computed without a run
        bool exact_sums;      ///< requires gradients that are not rounded for transfer
        bool all_weights;     ///< cannot be used with soft-pruned weights
        /// Allowed are at most the samples of the training split; 0: no micro-batches.
        index_t micro_batch_samples;
        bool channel_scale;  ///< every prunable layer must be followed by a batch-norm
    };
    virtual Requirements requirements() const = 0;
};

/// The gradient of the loss of one global batch.
const ScoreInput& loss_gradient();

/// Gives each unit's value to all weights into it, on all shards, in their gradients.
/// @param units  one value per unit that this shard holds
void give_to_rows(std::span<const real> units, Parameter& weight, const Communicator& shards);

}  // namespace pruntrain
