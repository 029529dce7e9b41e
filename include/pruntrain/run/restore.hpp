// Restores a model from a checkpoint. All readers of checkpoints use it.
#pragma once

#include <string>
#include <vector>

#include "pruntrain/parallel/model.hpp"
#include "pruntrain/run/checkpoint.hpp"

namespace pruntrain {

/// @throws InputError if the network in a file was trained with other names of classes, or of inputs, than those of the
/// data. Without names there is nothing to compare.
void check_names(const std::string& file, const RunState& trained, const std::vector<std::string>& class_names,
                 const std::vector<std::string>& input_names);

/// As a list in YAML, for messages and overrides.
std::string yaml_list(const std::vector<std::string>& names);

/// What all ranks must know of a file before they read it.
struct FileToRestore {
    std::string path;
    std::string partition;     ///< of the model in the file, as `parse_partition` reads it; empty: as configured
    std::string pattern_hash;  ///< pattern_hash and weights_hash: of the model that was written; empty: not compared
    std::string weights_hash;
};
/// Broadcasts from the root. Collective.
void broadcast(FileToRestore& file, const Communicator& world);

enum class Restore {
    run,      ///< weights, the optimizer state that the model has, execution plan, history and state
    weights,  ///< patterns, weights and statistics; the optimizer state becomes 0
};

struct RestoredRun {
    RunState state;
    History history;
};

/// Partitions the model as in the file, or evenly if the number of shards differs, and reads it. Collective.
/// @return state and history; with Restore::weights, as at the start of a run
/// @throws InputError: unreadable, damaged, or of another network
/// @throws std::runtime_error if the hashes of the model differ from those stored in the file
RestoredRun restore(const FileToRestore& file, Model& model, Restore what, const Communicator& world);

}  // namespace pruntrain
