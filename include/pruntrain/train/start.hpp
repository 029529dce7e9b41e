// Starts a new run from the weights of another run, in the file of run.start_from.
#pragma once

#include <optional>
#include <string>

#include "pruntrain/run/restore.hpp"
#include "pruntrain/train/experiment.hpp"

namespace pruntrain {

/// The file from which a new run starts.
struct StartFile {
    FileToRestore file;
    std::string state;  ///< "step 120, sparsity 0.9", for messages
};

/// The root verifies the file and compares it with an experiment that has not changed since its construction; all ranks
/// get the result. Collective. @return nothing if run.start_from is empty
/// @throws InputError: unreadable, damaged, of another model, with other normalization, or with weights that the prune
/// section cannot start from
std::optional<StartFile> look_at_start(Experiment& experiment, const Communicator& world);

/// The text of --check about the file; empty if there is none.
std::string start_text(const std::optional<StartFile>& file);

}  // namespace pruntrain
