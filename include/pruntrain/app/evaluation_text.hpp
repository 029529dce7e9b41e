// What `evaluate` prints, and `sensitivity` of the unchanged network.
#pragma once

#include <string>

#include "pruntrain/train/evaluation.hpp"

namespace pruntrain {

/// @param split  its name
std::string evaluation_text(const Evaluation& evaluation, const std::string& split);

/// What `evaluate --metrics` adds.
/// @param labels  in the files, of the classes
std::string metrics_text(const Metrics& metrics, const std::vector<std::string>& labels);
std::string confusion_csv(const Metrics& metrics, const std::vector<std::string>& labels);

}  // namespace pruntrain
