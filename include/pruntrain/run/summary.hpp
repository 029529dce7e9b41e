// The result of a run: summary.json, and the text at the end of a run.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "pruntrain/run/checkpoint.hpp"
#include "pruntrain/run/profile.hpp"

namespace pruntrain {

/// Loss and accuracy on a split.
struct Evaluation {
    index_t samples = 0;
    double loss = NAN;      ///< mean over the samples; NaN if there are none
    double accuracy = NAN;  ///< fraction; NaN for a regression
};

struct RunResult {
    Evaluation test;
    RunState state;
    std::vector<index_t> kept;  ///< remaining weights of each parameter, over all shards
    double samples_per_s = 0;   ///< training rate since this start of the program
    double peak_mb = 0;         ///< maximum resident memory of a rank, including its part of the shared data; MB
    double resident_mb = 0;     ///< maximum over the ranks at the end
    std::string checkpoint;
    std::string best_checkpoint;  ///< empty without a validation split
    ProfileRows profile;          ///< empty without --profile
};

/// The content of summary.json.
std::string summary_json(const RunResult& result, const Network& network);
/// The text at the end of a run.
std::string result_text(const RunResult& result, const Network& network, const std::string& folder);

}  // namespace pruntrain
