// A checkpoint, opened to be evaluated.
#pragma once

#include <string>
#include <vector>

#include "pruntrain/app/find_checkpoint.hpp"
#include "pruntrain/run/checkpoint.hpp"
#include "pruntrain/train/experiment.hpp"

namespace pruntrain {

/// Verifies a checkpoint, unless that has been done, and describes it. Collective.
CheckpointSummary inspect(const FoundCheckpoint& found, const Communicator& world);

/// A checkpoint with the experiment of its run: the weights are read, and the network computes as in the run.
struct OpenCheckpoint {
    /// Collective.
    /// @param overrides     key.path=value: replace keys of the configuration in the checkpoint
    /// @param needs_pruner  a run that did not prune gets a pruner too, with the default criterion
    OpenCheckpoint(const FoundCheckpoint& found, const std::vector<std::string>& overrides, bool needs_pruner,
                   const Communicator& world);

    /// @param name  train, validation or test
    /// @throws InputError if the data have no such split
    Split split(const std::string& name) const;

    CheckpointSummary summary;
    Experiment experiment;
};

}  // namespace pruntrain
