// The events of a run that change which weights there are.
#pragma once

#include "pruntrain/run/checkpoint.hpp"
#include "pruntrain/run/progress.hpp"
#include "pruntrain/train/training_step.hpp"

namespace pruntrain {

/// Each event does nothing where the configuration has none at the present step, and else leaves the model ready for
/// the next step: pruned, compacted, executed as is fastest, with its shards in balance. All is collective.
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

    /// @param run_s  the seconds that all steps of the run will take at the pace so far
    void maybe_prune(RunState& state, double run_s);
    void maybe_rewind(const RunState& state);
    void maybe_regrow(const RunState& state);
    /// After weights were read from a file.
    void plan(index_t step, double run_s);

   private:
    /// Puts the quantity in the arena's gradients; nothing else changes.
    std::unique_ptr<Compensation> find(const ScoreInput& input, index_t step);
    /// Removes units and channels without weights, if the configuration says so. @return there were some
    bool compact(index_t step);
    void plan_execution(index_t step, double run_s);
    /// Moves rows between the shards if one has too many weights. @param report  the imbalance, if they stay
    void rebalance(index_t step, bool report);

    Experiment& experiment_;
    Model& model_;
    Slices slices_;
    BatchFeed& feed_;
    TrainingStep& training_step_;
    Profile& profile_;
    Progress& progress_;
};

}  // namespace pruntrain
