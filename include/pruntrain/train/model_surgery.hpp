// The events of a run that change the set of weights.
#pragma once

#include "pruntrain/run/checkpoint.hpp"
#include "pruntrain/run/progress.hpp"
#include "pruntrain/train/training_step.hpp"

namespace pruntrain {

/// Each event does nothing if none is configured for the current step. Otherwise it leaves the model ready for the next
/// step: pruned, compacted, with an execution plan and balanced shards. All calls are collective.
class ModelSurgery {
   public:
    ModelSurgery(Experiment& experiment, const Slices& slices, BatchFeed& feed, TrainingStep& training_step,
                 Profile& profile, Progress& progress)
        : experiment_(experiment),
          model_(experiment.model),
          slices_(slices),
          feed_(feed),
          training_step_(training_step),
          profile_(profile),
          progress_(progress) {}

    /// @param run_s  estimated seconds of all steps of the run
    void maybe_prune(RunState& state, double run_s);
    /// Makes up for the last prune event that the schedule has before the current step, after a resume with another
    /// schedule. Does nothing if the weights that it removes are already gone.
    void catch_up(RunState& state, double run_s);
    void maybe_rewind(const RunState& state);
    void maybe_regrow(const RunState& state);
    /// Call it after weights were read from a file.
    void plan(index_t step, double run_s);

   private:
    /// @param event  the step of the prune event
    void prune(index_t event, RunState& state, double run_s);
    /// Warns once of each further output of the network that has lost all its weights.
    void warn_of_dead_outputs(const RunState& state);
    /// Writes the quantity to the arena's gradients; nothing else changes.
    std::unique_ptr<Compensation> find(const ScoreInput& input, index_t step);
    /// Removes units and channels without weights, if configured. @return true if there were any
    bool compact(index_t step);
    void plan_execution(index_t step, double run_s);
    /// Moves rows between the shards if one has too many weights. @param report  the imbalance, if no rows move
    void rebalance(index_t step, bool report);

    Experiment& experiment_;
    Model& model_;
    Slices slices_;
    BatchFeed& feed_;
    TrainingStep& training_step_;
    Profile& profile_;
    Progress& progress_;
    index_t dead_outputs_ = 0;  ///< of which the run has warned
};

}  // namespace pruntrain
