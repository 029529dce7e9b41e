// What `inspect` prints.
#pragma once

#include <string>

#include "pruntrain/run/checkpoint.hpp"

namespace pruntrain {

/// The tensors of a checkpoint and the state of its run.
std::string inspect_text(const CheckpointSummary& summary, const std::string& file);

}  // namespace pruntrain
