// A new run that starts from the weights of another run: of the file that run.start_from names.
#pragma once

#include <optional>
#include <string>

#include "pruntrain/run/restore.hpp"
#include "pruntrain/train/experiment.hpp"

namespace pruntrain {

/// The file that a new run starts from.
struct StartFile {
    FileToRestore file;
    std::string state;  ///< "step 120, sparsity 0.9", for people
};

/// The root verifies the file and compares it with an experiment that has not been changed since it was built, all
/// ranks learn of it. Collective. @return nothing if run.start_from is empty
/// @throws InputError: unreadable, damaged, of another model, of data that were normalised otherwise, or of weights
/// that the prune section cannot go on from
std::optional<StartFile> look_at_start(Experiment& experiment, const Communicator& world);

/// What --check says of the file; empty if there is none.
std::string start_text(const std::optional<StartFile>& file);

}  // namespace pruntrain
