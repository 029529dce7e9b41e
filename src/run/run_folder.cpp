#include "pruntrain/run/run_folder.hpp"

#include <algorithm>
#include <fstream>
#include <system_error>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/model/weight_matrix.hpp"
#include "pruntrain/run/checkpoint.hpp"

namespace pruntrain {

namespace fs = std::filesystem;

namespace {

constexpr const char* run_files[] = {"config.yaml", "history.csv", "layers.csv", "summary.json", "profile.csv"};
constexpr const char* result_files[] = {"summary.json", "profile.csv"};  // of a completed run

std::string csv_line(const HistoryRow& row) {
    std::string line;
    for (const auto& column : history_columns) {
        const double value = row.*column.field;
        if (!line.empty()) line += ',';
        if (!std::isnan(value)) line += exact(value);  // unknown: empty
    }
    return line + "\n";
}

/// A line per layer with a weight.
std::string layer_lines(const HistoryRow& row, Network& network) {
    if (row.layers.empty()) return "";
    std::string lines;
    std::size_t number = 0;
    for (const std::size_t layer : network.layers_with_weights()) {
        const Parameter& weight = network.layer(layer).weight_matrix()->parameter();
        const auto& [kept, sparse] = row.layers.at(number++);
        lines += text(exact(row.step), ",", exact(row.epoch), ",", csv_field(weight.full_name()), ",", kept, ",",
                      weight.full_size(), ",", sparse ? "sparse" : "dense", "\n");
    }
    return lines;
}

bool holds_a_run(const fs::path& folder) {
    if (fs::exists(folder / "checkpoints")) return true;
    return std::any_of(std::begin(run_files), std::end(run_files),
                       [&](const char* f) { return fs::exists(folder / f); });
}

void remove_run(const fs::path& folder) {
    for (const char* file : run_files) fs::remove(folder / file);
    for (const auto& checkpoint : list_checkpoints(folder / "checkpoints")) fs::remove(checkpoint);
}

void check_may_start(const fs::path& folder, ExistingRun existing) {
    if (existing == ExistingRun::refuse && holds_a_run(folder))
        input_error("the run folder ", folder.string(),
                    " already exists: --resume continues its run, --overwrite removes the "
                    "earlier run, or choose another run.name");
}

}  // namespace

void RunFolder::prepare(ExistingRun existing, RunLock::Unknown unknown) {
    if (existing == ExistingRun::refuse && unknown == RunLock::Unknown::watch)
        if (const std::string refusal = RunLock::refusal(path_); !refusal.empty()) input_error(refusal);
    check_may_start(path_, existing);
    fs::create_directories(path_);
    lock_ = std::make_unique<RunLock>(path_, unknown);
    check_may_start(path_, existing);  // again: another run may have come and gone
    if (existing == ExistingRun::overwrite) remove_run(path_);
    fs::create_directories(checkpoints());
    const fs::path probe = path_ / ".probe";
    std::ofstream(probe) << "writable\n";
    if (!fs::exists(probe) || fs::file_size(probe) == 0)
        input_error("the run folder ", path_.string(),
                    " cannot be written: choose another run.output, or free disk space");
    fs::remove(probe);
}

RunFolder::RunFolder(const fs::path& output, const std::string& name, ExistingRun existing, const Communicator& world,
                     RunLock::Unknown unknown)
    : path_(output / name) {
    world.rethrow_collectively([&] {
        if (!world.is_root()) return;
        try {
            prepare(existing, unknown);
        } catch (const fs::filesystem_error& error) {
            input_error("the run folder ", path_.string(), " cannot be created or changed: ", error.code().message(),
                        ": choose another run.output");
        }
    });
}

void RunFolder::write_whole(const std::string& name, const std::string& content) const {
    lock_->require();
    const fs::path target = path_ / name, beside = path_ / (name + ".tmp");
    std::error_code ignored;
    fs::remove(beside, ignored);  // not the file that a process which has lost the lock may still have open
    std::ofstream file(beside, std::ios::binary);
    file << content;
    file.close();
    if (!file) {
        fs::remove(beside, ignored);
        fault("cannot write ", target.string(), ": is the disk full?");
    }
    lock_->require();
    fs::rename(beside, target);
}

void RunFolder::write_config(const std::string& resolved) const { write_whole("config.yaml", resolved); }

void RunFolder::write_summary(const std::string& json) const { write_whole("summary.json", json); }

void RunFolder::write_profile(const std::string& csv) const { write_whole("profile.csv", csv); }

void RunFolder::remove_results() const {
    lock_->require();
    for (const char* file : result_files) fs::remove(path_ / file);
}

void RunFolder::write_history(const History& history, Network& network) const {
    std::vector<std::string> names;
    for (const auto& column : history_columns) names.emplace_back(column.name);
    std::string rows = join(names, ",") + "\n", layers = "step,epoch,tensor,kept,of,execution\n";
    for (const auto& row : history) {
        rows += csv_line(row);
        layers += layer_lines(row, network);
    }
    write_whole("layers.csv", layers);
    write_whole("history.csv", rows);
}

void RunFolder::append_history(const HistoryRow& row, Network& network) const {
    append("layers.csv", layer_lines(row, network));  // first, so that a reader of a new history row finds its layers
    append("history.csv", csv_line(row));
}

void RunFolder::append(const std::string& name, const std::string& content) const {
    lock_->require();
    std::ofstream file(path_ / name, std::ios::app | std::ios::binary);
    file << content;
    file.close();
    if (!file) fault("cannot write ", (path_ / name).string(), ": is the disk full?");
}

void RunFolder::drop_old_checkpoints(index_t now, index_t keep, index_t best) const {
    lock_->require();
    const auto files = list_checkpoints(checkpoints());
    const std::string best_name = best < 0 ? "" : checkpoint_name(best);
    const auto newest = std::find(files.begin(), files.end(), checkpoints() / checkpoint_name(now));
    for (auto file = newest; file != files.end(); ++file)
        if (file - newest >= keep && file->filename() != best_name) fs::remove(*file);
}

}  // namespace pruntrain
