// The training loop.
#pragma once

#include <optional>

#include "pruntrain/run/heartbeat.hpp"
#include "pruntrain/train/checkpointer.hpp"
#include "pruntrain/train/divergence_policy.hpp"
#include "pruntrain/train/evaluation.hpp"
#include "pruntrain/train/model_surgery.hpp"
#include "pruntrain/train/start.hpp"

namespace pruntrain {

/// How fast this start of the program trains.
struct Pace {
    index_t samples = 0;
    double seconds = 0;  ///< of training steps

    double samples_per_s() const { return seconds > 0 ? static_cast<double>(samples) / seconds : 0; }
};

// Large because it is where the parts of a run meet: each member is one of them, or the state that they share.
class Trainer {
   public:
    /// Collective. @param profiling  measures where the time goes, for a table at the end and profile.csv
    Trainer(Experiment& experiment, const RunFolder& folder, const Communicator& world, bool profiling,
            const StopRequest& stop_request);

    /// Loads the newest checkpoint of the folder that is whole; a damaged one is named and passed over. Collective.
    /// @return there was one @throws InputError if a whole checkpoint is of another network
    bool resume();

    /// Starts a new run, with the weights of the file if there is one. Collective.
    /// @param file  what `look_at_start` has found
    void start(const std::optional<StartFile>& file);

    /// Trains to the end, evaluates on the test split, writes the last checkpoint and summary.json. Collective.
    /// @return false: it was interrupted, and what it has done so far is in a checkpoint
    bool run();

   private:
    void prepare_run();
    /// This rank's replica requests that the step that begins is the last one: by how many shards.
    double ask_whether_to_stop();
    const Batch& next_batch();
    void prepare_batch_after(index_t step);
    /// The update is due; else the step is left out, or the run has gone back to a checkpoint.
    DivergencePolicy::Action check(const StepSums& sums, bool to_owners);
    void count_step();
    void observe(const StepSums& sums, index_t samples);
    void run_events();
    void evaluate_if_due();
    void add_history_row();
    void checkpoint_if_due();
    void save(bool needed);
    void show_progress();
    void stop();
    void finish();

    bool due(double every_epochs) const;
    double run_seconds() const;  ///< that all steps of the run will take at the pace so far
    double seconds() const { return seconds_before_ + clock_.seconds(); }

    Experiment& experiment_;
    const RunFolder& folder_;
    Communicator world_;
    Slices slices_;
    Progress progress_;
    Profile profile_;
    StopRequest stop_request_;
    Heartbeat heartbeat_;
    BatchFeed feed_;
    TrainingStep step_;
    ModelSurgery surgery_;
    Checkpointer checkpointer_;
    DivergencePolicy divergence_;
    HistoryLog history_;
    RunState state_;

    Timer clock_;  ///< of this start of the program
    double seconds_before_ = 0;
    Timer step_timer_;
    Pace pace_;
    double correct_ = 0;  ///< training samples classified correctly since the last row
};

}  // namespace pruntrain
