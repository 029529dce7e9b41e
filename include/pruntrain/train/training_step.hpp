// One step of training: forward, loss, backward, the sums over the ranks, and the update.
#pragma once

#include <optional>

#include "pruntrain/parallel/gradient_reducer.hpp"
#include "pruntrain/prune/soft_pruned_weights.hpp"
#include "pruntrain/run/profile.hpp"
#include "pruntrain/train/batch_feed.hpp"
#include "pruntrain/train/experiment.hpp"

namespace pruntrain {

/// Of a global batch, over all ranks.
struct StepSums {
    double loss = 0;  ///< of all samples
    double correct = 0;
    double stop_requests = 0;
};

struct StepOptions {
    index_t training_step = 0;        ///< learning rate, order of the data and random numbers are functions of it
    double stop_requests = 0;         ///< of this rank's replica, to be summed with the loss
    bool to_owners = false;           ///< no rank needs more sums of gradients than it has optimizer slots
    real temperature = 1;             ///< the outputs are divided by it before the loss
    Choices choices = Choices::free;  ///< of relu and max-pool
};

class TrainingStep {
   public:
    /// Collective.
    TrainingStep(Experiment& experiment, const Slices& slices, Profile& profile);
    TrainingStep(const TrainingStep&) = delete;
    TrainingStep& operator=(const TrainingStep&) = delete;

    /// Forward, loss and backward of this rank's slices. Starts the sums of gradients as layers finish.
    void begin(const Batch& batch, const StepOptions& options);
    /// Waits for all sums: the gradients are in the arena then. What is done between the two overlaps with them.
    StepSums finish();

    /// Updates the weights by the gradients in the arena.
    /// @param step  of the run, whose number of updates this is @param rate_factor  of the learning rate
    void update(index_t step, double rate_factor);

    /// Sums over the slices of all replicas, in the order of a step's sums, in the arena's gradients. Collective.
    void sum_over_slices(const ScoreContext::SetSlice& set);

    /// The next step depends on no rounding of earlier ones: a checkpoint does not hold it.
    void reset_residual() { reducer_.reset_residual(); }

    /// The network goes without its soft-pruned weights while what this returns lives. Collective over the replicas.
    SoftPrunedWeights::MaskScope mask() {
        return {soft_pruned_, experiment_.model.arena(), experiment_.grid.replicas()};
    }
    /// There were some at the last `mask`.
    bool any_soft_pruned() const { return soft_pruned_.any(); }

    double learning_rate_at(index_t step, double rate_factor) const;

   private:
    Slices::Sum start_loss(const Batch& batch, const StepOptions& options);
    void sum_node(const ScoreContext::SetSlice& set, const TreeNode& node, std::span<real> sums);

    Experiment& experiment_;
    Slices slices_;
    Profile& profile_;
    GradientReducer reducer_;
    SoftPrunedWeights soft_pruned_;
    NetworkStep step_;  ///< under way
    std::optional<Slices::Sum> loss_;
    index_t summed_before_ = 0;  ///< bytes
};

}  // namespace pruntrain
