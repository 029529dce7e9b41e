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

/// Training speed since this start of the program.
struct Pace {
    index_t samples = 0;
    double seconds = 0;  ///< of training steps

    double samples_per_s() const { return seconds > 0 ? static_cast<double>(samples) / seconds : 0; }
};

// Large because it combines the parts of a run: each member is a part, or state that they share.
class Trainer {
   public:
    /// Collective. @param profiling  measures time per phase, for a table at the end and profile.csv
    Trainer(Experiment& experiment, const RunFolder& folder, const Communicator& world, bool profiling,
            const StopRequest& stop_request);

    /// Loads the newest valid checkpoint of the folder; damaged ones are reported and skipped. Collective.
    /// @return true if there was one @throws InputError if a valid checkpoint is of another network
    bool resume();

    /// Starts a new run, from the weights of a file if there is one. Collective.
    /// @param file  result of `look_at_start`
    void start(const std::optional<StartFile>& file);

    /// Trains to the end, evaluates on the test split, writes the last checkpoint and summary.json. Collective.
    /// @return false if it was interrupted; then its state is in a checkpoint
    bool run();

   private:
    void prepare_run();
    /// The number of ranks of this replica that request a stop after the current step.
    double ask_whether_to_stop();
    const Batch& next_batch();
    void prepare_batch_after(index_t step);
    /// Decides about the update of a step; the run may have rolled back to a checkpoint.
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
    /// Of the root. @throws std::runtime_error if more weights remain than planned
    void check_final_sparsity(const std::vector<index_t>& kept);

    bool due(double every_epochs) const;
    double run_seconds() const;  ///< estimated seconds of all steps of the run
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

    Timer clock_;  ///< since this start of the program
    double seconds_before_ = 0;
    Timer step_timer_;
    Pace pace_;
    double correct_ = 0;  ///< training samples classified correctly since the last row
};

}  // namespace pruntrain
