// When a run writes checkpoints, and how it reacts to failures.
#pragma once

#include <future>

#include "pruntrain/run/checkpoint.hpp"
#include "pruntrain/run/progress.hpp"
#include "pruntrain/run/run_folder.hpp"
#include "pruntrain/run/stop_request.hpp"
#include "pruntrain/train/experiment.hpp"

namespace pruntrain {

/// Writes the checkpoints of a run, synchronously or concurrently with training, and removes old ones. All calls are
/// collective.
class Checkpointer {
   public:
    Checkpointer(Experiment& experiment, const RunFolder& folder, const Communicator& world, Progress& progress,
                 StopRequest& stop_request)
        : experiment_(experiment), folder_(folder), world_(world), progress_(progress), stop_request_(stop_request) {}

    /// Writes the current state of a run. @param state   its hashes, execution plan and partition are set
    /// @param needed  there is no later checkpoint: waits for the file, and a failure ends the run
    /// @return false if there is already a checkpoint of this step, or if a tolerable failure occurred
    bool save(RunState& state, const History& history, bool needed);
    /// The newest checkpoint is of this step, and complete.
    bool is_saved(index_t step) const { return writing_step_ < 0 && saved_step_ == step; }
    /// Waits for a checkpoint that is being written.
    void finish_writing();

    /// Records that the run resumed from the checkpoint of this step.
    void resumed_at(index_t step) { saved_step_ = step; }
    /// The newest checkpoint, written or being written; 0: none.
    index_t newest_step() const { return std::max({saved_step_, writing_step_, index_t{0}}); }
    std::string path_of(index_t step) const { return (folder_.checkpoints() / checkpoint_name(step)).string(); }

   private:
    /// Handles a finished write: success, or a failure, which may end the run. @param best  step of the best at its
    /// time
    void settle(const WrittenCheckpoint& written, index_t step, index_t best);
    /// Handles the error message of the root, empty for success: reports it and lets training continue, if tolerable.
    bool tolerates(const std::string& failure);

    Experiment& experiment_;
    const RunFolder& folder_;
    Communicator world_;
    Progress& progress_;
    StopRequest& stop_request_;
    index_t saved_step_ = -1;
    std::future<WrittenCheckpoint> writing_;  ///< concurrent write, on the root
    index_t writing_step_ = -1;               ///< -1: none is being written
    index_t best_at_writing_ = -1;
};

/// The rows of a run, in memory and in history.csv.
class HistoryLog {
   public:
    HistoryLog(const RunFolder& folder, bool is_root, bool stops_on_failure, Progress& progress)
        : folder_(folder), is_root_(is_root), stops_on_failure_(stops_on_failure), progress_(progress) {}

    const History& rows() const { return rows_; }
    void replace(History rows) { rows_ = std::move(rows); }
    bool has_row_of(index_t step) const { return !rows_.empty() && rows_.back().step == static_cast<double>(step); }
    /// Writes the whole file. Does nothing on ranks other than the root.
    void write(Network& network) const {
        if (is_root_) folder_.write_history(rows_, network);
    }
    /// Adds a row, also to the file. If that fails and the failure is tolerable, the next row repairs the file.
    void append(const HistoryRow& row, Network& network);

   private:
    const RunFolder& folder_;
    bool is_root_, stops_on_failure_;
    Progress& progress_;
    History rows_;
    bool file_is_incomplete_ = false;  ///< the disk was full
};

}  // namespace pruntrain
