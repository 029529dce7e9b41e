// The checkpoint that a user names: a file, the folder of a run, or a folder of checkpoints.
#pragma once

#include <string>

#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// A file stays as it is. In a folder it is the best checkpoint of the run if one is recorded and there, else the
/// newest valid one; rank 0 prints on standard error which one, and why. Collective.
/// @throws InputError if a folder has no valid checkpoint
std::string find_checkpoint(const std::string& path, const Communicator& world);

}  // namespace pruntrain
