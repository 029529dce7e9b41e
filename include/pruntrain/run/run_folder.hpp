// The folder of a run: what is where, and what may be overwritten.
#pragma once

#include <filesystem>
#include <string>

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/run/history.hpp"

namespace pruntrain {

enum class ExistingRun { refuse, resume, overwrite };

/// `output/name/` with config.yaml, history.csv, layers.csv, summary.json, profile.csv and checkpoints/. Only the root
/// of the world writes.
class RunFolder {
   public:
    /// Collective. Makes the folder, or with `overwrite` removes the files of an earlier run in it, and only those.
    /// @throws InputError if a run is there and may not be touched, or the folder cannot be written
    RunFolder(const std::filesystem::path& output, const std::string& name, ExistingRun existing,
              const Communicator& world);

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }

    /// Root only, as all below. Files appear whole: written beside, then renamed.
    void write_config(const std::string& resolved) const;
    void write_summary(const std::string& json) const;
    void write_profile(const std::string& csv) const;
    void remove_results() const;  ///< summary and profile: of a run that now goes on
    /// history.csv and layers.csv: the whole files, or what one row adds to them. @param network  of the run
    void write_history(const History& history, Network& network) const;
    void append_history(const HistoryRow& row, Network& network) const;

    /// Removes all checkpoints before step `now` but those that belong to the newest `keep` up to it and the one of
    /// step `best` (-1: none). Later ones are what an earlier start of the run left: damaged, or soon written again.
    void drop_old_checkpoints(index_t now, index_t keep, index_t best) const;

   private:
    void write_whole(const std::string& name, const std::string& content) const;
    void append(const std::string& name, const std::string& content) const;

    std::filesystem::path path_;
};

}  // namespace pruntrain
