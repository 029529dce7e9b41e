// The checkpoint file: see docs/checkpoint_format.md. One HDF5 file holds all that a run is.
#pragma once

#include <filesystem>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/data/dataset.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/run/history.hpp"

namespace pruntrain {

/// All that a run is besides its network, optimizer slots and history.
// Large because it is plain data: one member for each attribute of a checkpoint.
struct RunState {
    index_t step = 0;  ///< position in the run, in updates of the present batch size; all schedules are functions of it
    index_t step_offset = 0;  ///< updates done before the batch size changed, beyond those of this size
    double epoch = 0;
    double seconds = 0;   ///< spent so far, over all restarts
    double loss_sum = 0;  ///< of this and the next: samples since the last row of the history
    index_t loss_samples = 0;
    double train_seconds = 0;       ///< likewise, in training steps
    double best_score = -INFINITY;  ///< highest validation accuracy (or -loss) at final sparsity so far
    index_t best_step = -1;         ///< the step that has it; -1: none yet
    std::uint64_t seed = 0;
    int ranks = 1;                           ///< of the run that wrote it; for information
    std::string grid = "1x1";                ///< data replicas x model shards
    std::string partition;                   ///< where the shards of the model were cut, as `parse_partition` reads it
    std::string pattern_hash, weights_hash;  ///< 16 hexadecimal digits each
    std::string execution;                   ///< "dense" or "sparse" for each layer with a weight
    double sparsity = 0;
    double validation_accuracy = NAN;  ///< at the last evaluation
    double rate_factor = 1;            ///< of the learning rate, after going back from numbers that were not finite
    std::vector<std::string> class_names{};  ///< of the data, in the order of their numbers; a data set of its own
    std::vector<std::string> input_names{};  ///< of the data's features, likewise

    /// Updates done, as history and file names count them.
    index_t updates() const { return step + step_offset; }
};

/// What became of a file. Of the root; the others know nothing.
struct WrittenCheckpoint {
    std::string failure{};  ///< names file and reason; an older file of that name is then untouched. Empty: it is there
    double seconds = 0;     ///< that writing took
};

/// Writes `path` so that it appears whole or not at all: a temporary name, flushed, synced, read back and verified,
/// renamed, the folder synced. Collective over the grid: the root takes the shards' rows of one tensor after the other,
/// and writes; so the file does not depend on the grid.
/// @param before_rename  on the root: the last chance to keep the file from getting its name
WrittenCheckpoint write_checkpoint(const std::filesystem::path& path, Network& network, const RunState& state,
                                   const History& history, const std::string& config,
                                   const Normalization& normalization, const Grid& grid,
                                   const std::function<void()>& before_rename = {});
/// Likewise, but the root takes a copy of everything, and a thread writes it. @return invalid on other ranks
std::future<WrittenCheckpoint> write_checkpoint_later(const std::filesystem::path& path, Network& network,
                                                      const RunState& state, const History& history,
                                                      const std::string& config, const Normalization& normalization,
                                                      const Grid& grid,
                                                      const std::function<void()>& before_rename = {});

/// What stands in a file besides the numbers.
struct CheckpointSummary {
    struct Tensor {
        std::string name;  ///< "dense1.weight"
        std::vector<index_t> shape;
        std::vector<index_t> full_shape;  ///< before units were removed from the network
        index_t kept = 0;
        index_t full_size = 0;  ///< numbers of a tensor of that shape
        bool sparse = false;
        std::uint64_t bytes = 0;  ///< in the file
    };
    index_t format_version = 0;
    RunState state;
    std::string program_version;
    std::string config;
    Normalization normalization;
    std::vector<Tensor> tensors;  ///< parameters and statistics in model order
    std::vector<std::string> slots;
    std::uint64_t file_bytes = 0;
    std::size_t verified = 0;  ///< checksums that were compared
};

/// Verifies every checksum and describes the file. Local. @throws InputError naming the file and what is wrong with it
CheckpointSummary inspect_checkpoint(const std::filesystem::path& path);

/// The root verifies the whole file, then every rank loads its own: the shard's rows of patterns, values and
/// statistics, what it has of the optimizer slots where the network's arena has slots of that name, state and history.
/// Collective.
/// @throws InputError: unreadable, damaged, or of another network (naming the first difference)
RunState read_checkpoint(const std::filesystem::path& path, Network& network, History& history,
                         const Communicator& ranks);

/// @throws InputError if a file is of another model than an untrained network: names the first difference. Units that
/// were removed from the network of the file are no difference.
void check_same_model(const std::string& file, const CheckpointSummary& checkpoint, Network& network);

/// Loads patterns, weights and statistics alone from a file that has been verified; optimizer slots become 0. The
/// network has the file's shapes. Every rank loads its own. Collective.
void read_weights(const std::filesystem::path& path, Network& network, const Communicator& ranks);

/// "step_00001234.h5"
std::string checkpoint_name(index_t step);
/// The checkpoints in a folder, newest first; files of other names are passed over.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& folder);

}  // namespace pruntrain
