#include "pruntrain/app/find_checkpoint.hpp"

#include <filesystem>
#include <iostream>
#include <utility>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "pruntrain/run/checkpoint.hpp"

namespace pruntrain {

namespace fs = std::filesystem;

namespace {

FoundCheckpoint find_in(const fs::path& folder) {
    std::vector<fs::path> files = list_checkpoints(folder / "checkpoints");
    if (files.empty()) files = list_checkpoints(folder);
    if (files.empty())
        input_error(folder.string(),
                    " is a folder without checkpoints: give a checkpoint (step_00017200.h5), the folder ",
                    "of a run, or its folder checkpoints");
    for (const fs::path& file : files) {
        CheckpointSummary summary;
        try {
            summary = inspect_checkpoint(file);
        } catch (const InputError& error) {
            std::cerr << "pruntrain: warning: " + std::string(error.what()) + "; trying an older one\n";
            continue;
        }
        const index_t best = summary.state.best_step;
        const fs::path best_file = file.parent_path() / checkpoint_name(best < 0 ? 0 : best);
        const bool has_best = best >= 0 && fs::exists(best_file);
        const fs::path& chosen = has_best ? best_file : file;
        std::cerr << text("pruntrain: note: the checkpoint is ", chosen.string(), ", the ",
                          has_best ? "best of the run by validation" : "newest: no best one is recorded", "\n");
        if (chosen != file) return {chosen.string()};
        return {chosen.string(), std::move(summary)};
    }
    input_error(folder.string(), " has ", files.size(),
                " checkpoint(s), but none of them is valid: inspect one of them");
}

}  // namespace

FoundCheckpoint find_checkpoint(const std::string& path, const Communicator& world) {
    FoundCheckpoint found{path};
    world.rethrow_collectively([&] {
        std::error_code ignored;
        if (world.is_root() && fs::is_directory(path, ignored)) found = find_in(path);
    });
    world.broadcast_text(found.path);
    return found;
}

}  // namespace pruntrain
