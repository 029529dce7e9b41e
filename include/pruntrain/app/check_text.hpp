// What --check prints.
#pragma once

#include <string>

#include "pruntrain/train/experiment.hpp"

namespace pruntrain {

/// Layers, shapes, parameters, sparsity, memory of a rank, size of a checkpoint.
std::string check_text(Experiment& experiment);

}  // namespace pruntrain
