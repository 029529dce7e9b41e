// The checkpoint that a user names: a file, the folder of a run, or a folder of checkpoints.
#pragma once

#include <optional>
#include <string>

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/run/checkpoint.hpp"

namespace pruntrain {

struct FoundCheckpoint {
    std::string path;
    std::optional<CheckpointSummary> summary{};  ///< on the root, if it had to verify that file to choose it
};

/// A file stays as it is. In a folder it is the best checkpoint of the run if one is recorded and there, else the
/// newest valid one; rank 0 prints on standard error which one, and why. Collective.
/// @throws InputError if a folder has no valid checkpoint
FoundCheckpoint find_checkpoint(const std::string& path, const Communicator& world);

}  // namespace pruntrain
