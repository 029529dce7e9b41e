// Tables and texts about a run, a model, a checkpoint.
#pragma once

#include <string>
#include <vector>

#include "pruntrain/train/checkpoint.hpp"
#include "pruntrain/train/evaluation.hpp"
#include "pruntrain/train/experiment.hpp"
#include "pruntrain/train/profile.hpp"

namespace pruntrain {

/// Rows of words as aligned columns, the first row as the heading; columns of numbers to the right.
std::string table(const std::vector<std::vector<std::string>>& rows);

struct RunResult {
    Evaluation test;
    RunState state;
    std::vector<index_t> kept;  ///< weights of each parameter, over all shards
    double samples_per_s = 0;   ///< trained by this start of the program
    double peak_mb = 0;         ///< most memory that a rank has had resident, its part of the shared data included; MB
    double resident_mb = 0;     ///< most that a rank has at the end
    std::string checkpoint;
    std::string best_checkpoint;  ///< empty without a validation split
    ProfileRows profile;          ///< empty without --profile
};

/// The content of summary.json.
std::string summary_json(const RunResult& result, const Network& network);
/// What a person reads at the end of a run.
std::string result_text(const RunResult& result, const Network& network, const std::string& folder);

/// What --check prints: layers, shapes, parameters, sparsity, memory of a rank, size of a checkpoint.
std::string check_text(Experiment& experiment);

/// What `inspect` prints.
std::string inspect_text(const CheckpointSummary& summary, const std::string& file);

/// The lines that one configuration has and the other has not, "- old" and "+ new"; empty if they agree.
std::string changed_lines(const std::string& before, const std::string& now);

}  // namespace pruntrain
