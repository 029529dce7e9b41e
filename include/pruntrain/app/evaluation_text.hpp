// What `evaluate` prints, and `sensitivity` of the unchanged network.
#pragma once

#include <string>

#include "pruntrain/train/evaluation.hpp"

namespace pruntrain {

/// @param split  its name
std::string evaluation_text(const Evaluation& evaluation, const std::string& split);

}  // namespace pruntrain
