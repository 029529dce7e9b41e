// One step of training: forward, loss, backward, the sums over the ranks, and the update.
#pragma once

#include <optional>

#include "pruntrain/parallel/gradient_reducer.hpp"
#include "pruntrain/prune/soft_pruned_weights.hpp"
#include "pruntrain/run/profile.hpp"
#include "pruntrain/train/batch_feed.hpp"
#include "pruntrain/train/experiment.hpp"

namespace pruntrain {

/// Sums of a global batch, over all ranks.
struct StepSums {
    double loss = 0;  ///< of all samples
    double correct = 0;
    double stop_requests = 0;
};

struct StepOptions {
    index_t training_step = 0;        ///< learning rate, order of the data and random draws are functions of it
    double stop_requests = 0;         ///< of this rank's replica, to be summed with the loss
    bool to_owners = false;           ///< no rank needs gradient sums beyond its part of the optimizer state
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
    /// Waits for all sums; then the gradients are in the arena. Work between `begin` and `finish` overlaps with them.
    StepSums finish();

    /// Updates the weights with the gradients in the arena.
    /// @param step  index of this update in the run @param rate_factor  factor on the learning rate
    void update(index_t step, double rate_factor);

    /// Sums over the slices of all replicas into the arena's gradients, in the order of a step's sums. Collective.
    void sum_over_slices(const ScoreContext::SetSlice& set);

    /// Resets the residual, which checkpoints do not contain: the next step does not depend on earlier ones.
    void reset_residual() { reducer_.reset_residual(); }

    /// Masks the soft-pruned weights of the network as long as the result lives. Collective over the replicas.
    SoftPrunedWeights::MaskScope mask() {
        return {soft_pruned_, experiment_.model.arena(), experiment_.grid.replicas()};
    }
    /// True if the last `mask` found soft-pruned weights.
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
    NetworkStep step_;  ///< the current step
    std::optional<Slices::Sum> loss_;
    index_t summed_before_ = 0;  ///< bytes
};

}  // namespace pruntrain
