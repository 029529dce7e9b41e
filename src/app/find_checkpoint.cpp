#include "pruntrain/app/find_checkpoint.hpp"

#include <filesystem>
#include <iostream>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "pruntrain/run/checkpoint.hpp"

namespace pruntrain {

namespace fs = std::filesystem;

namespace {

std::string find_in(const fs::path& folder) {
    std::vector<fs::path> files = list_checkpoints(folder / "checkpoints");
    if (files.empty()) files = list_checkpoints(folder);
    if (files.empty())
        input_error(folder.string(),
                    " is a folder without checkpoints: give a checkpoint (step_00017200.h5), the folder ",
                    "of a run, or its folder checkpoints");
    for (const fs::path& file : files) {
        index_t best = -1;
        try {
            best = inspect_checkpoint(file).state.best_step;
        } catch (const InputError& error) {
            std::cerr << "pruntrain: warning: " + std::string(error.what()) + "; trying an older one\n";
            continue;
        }
        const fs::path best_file = file.parent_path() / checkpoint_name(best < 0 ? 0 : best);
        const bool has_best = best >= 0 && fs::exists(best_file);
        const fs::path& chosen = has_best ? best_file : file;
        std::cerr << text("pruntrain: note: the checkpoint is ", chosen.string(), ", the ",
                          has_best ? "best of the run by validation" : "newest: no best one is recorded", "\n");
        return chosen.string();
    }
    input_error(folder.string(), " has ", files.size(),
                " checkpoint(s), but none of them is valid: inspect one of them");
}

}  // namespace

std::string find_checkpoint(const std::string& path, const Communicator& world) {
    std::string found = path;
    world.rethrow_collectively([&] {
        std::error_code ignored;
        if (world.is_root() && fs::is_directory(path, ignored)) found = find_in(path);
    });
    world.broadcast_text(found);
    return found;
}

}  // namespace pruntrain
