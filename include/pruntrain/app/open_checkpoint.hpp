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

struct CheckpointNeeds {
    bool pruner = false;  ///< a run that did not prune gets a pruner too, with the default criterion
    DataNeeds data;
};

/// A checkpoint with the experiment of its run: the weights are read, and the network computes as in the run.
struct OpenCheckpoint {
    /// Collective.
    /// @param overrides  key.path=value: replace keys of the configuration in the checkpoint
    OpenCheckpoint(const FoundCheckpoint& found, const std::vector<std::string>& overrides,
                   const CheckpointNeeds& needs, const Communicator& world);

    /// @param name  train, validation or test
    /// @throws InputError if the data have no such split
    Split split(const std::string& name) const;

    CheckpointSummary summary;
    Experiment experiment;
};

}  // namespace pruntrain
