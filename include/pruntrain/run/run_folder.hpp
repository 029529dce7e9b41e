// The folder of a run: its files, and what may be overwritten.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/run/history.hpp"
#include "pruntrain/run/run_lock.hpp"

namespace pruntrain {

enum class ExistingRun { refuse, resume, overwrite };

/// `output/name/` with config.yaml, history.csv, layers.csv, summary.json, profile.csv and checkpoints/. Only the
/// world's root writes, and it holds the lock of the folder as long as this object exists.
class RunFolder {
   public:
    /// Collective. Creates the folder. With `overwrite`, removes the files of an earlier run in it, and nothing else.
    /// @param unknown  what becomes of the lock of a process of which it is not known whether it lives
    /// @throws InputError if the folder has a run that must be kept, is in use by another process, or cannot be written
    RunFolder(const std::filesystem::path& output, const std::string& name, ExistingRun existing,
              const Communicator& world, RunLock::Unknown unknown = RunLock::Unknown::watch);

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }

    /// Root only, like all calls below. Files are replaced atomically: written to a temporary file, then renamed.
    void write_config(const std::string& resolved) const;
    void write_summary(const std::string& json) const;
    void write_profile(const std::string& csv) const;
    void remove_results() const;  ///< removes summary and profile when a run is resumed
    /// Writes history.csv and layers.csv, or appends one row. @param network  of the run
    void write_history(const History& history, Network& network) const;
    void append_history(const HistoryRow& row, Network& network) const;

    /// Removes the checkpoints before step `now` except the newest `keep` and the one of step `best` (-1: none). Later
    /// checkpoints are from an earlier start of the run: they are damaged, or will be overwritten soon.
    void drop_old_checkpoints(index_t now, index_t keep, index_t best) const;
    /// Before a file is written, and before it is given its name: ends this process if it has lost the lock.
    void require_lock() const { lock_->require(); }

   private:
    void prepare(ExistingRun existing, RunLock::Unknown unknown);
    void write_whole(const std::string& name, const std::string& content) const;
    void append(const std::string& name, const std::string& content) const;

    std::filesystem::path path_;
    std::unique_ptr<RunLock> lock_;  ///< of the root
};

}  // namespace pruntrain
