// A model goes on from a file: the one way from a checkpoint into a network.
#pragma once

#include <string>

#include "pruntrain/parallel/model.hpp"
#include "pruntrain/run/checkpoint.hpp"

namespace pruntrain {

/// What all ranks must know of a file before they read it.
struct FileToRestore {
    std::string path;
    std::string partition;     ///< of the model in the file, as `parse_partition` reads it; empty: as configured
    std::string pattern_hash;  ///< this and the next: of the model that was written; empty: not compared
    std::string weights_hash;
};
/// The root's to all. Collective.
void broadcast(FileToRestore& file, const Communicator& world);

enum class Restore {
    run,      ///< weights, the optimizer slots that the model has, execution plan, history and state
    weights,  ///< patterns, weights and statistics; optimizer slots become 0
};

struct RestoredRun {
    RunState state;
    History history;
};

/// Partitions the model as in the file, or evenly if that has another number of shards, and reads it. Collective.
/// @return state and history; of Restore::weights as at the start of a run
/// @throws InputError: unreadable, damaged, or of another network
/// @throws std::runtime_error if the model that was read has other hashes than the one written
RestoredRun restore(const FileToRestore& file, Model& model, Restore what, const Communicator& world);

}  // namespace pruntrain
