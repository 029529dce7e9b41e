// A run that writes checkpoints, on one rank or several.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pruntrain/train/checkpointer.hpp"
#include "shared_folder.hpp"
#include "training.hpp"

namespace pruntrain::test {

struct CheckpointedRun {
    explicit CheckpointedRun(const std::vector<std::string>& overrides = {})
        : folder(world, [](const TemporaryFolder&) {}),
          training(overrides),
          run_folder(folder.path(), "test", ExistingRun::refuse, world),
          progress(ProgressMode::lines, 1, training.experiment.length, world.is_root()),
          checkpointer(training.experiment, run_folder, world, progress, stop_request) {}

    /// @param best  step of the best checkpoint so far
    bool save(index_t step, bool needed = false, index_t best = -1) {
        RunState state;
        state.step = step;
        state.best_step = best;
        return checkpointer.save(state, {}, needed);
    }
    std::filesystem::path file(index_t step) const { return run_folder.checkpoints() / checkpoint_name(step); }

    Communicator world = Communicator::world();
    SharedFolder folder;
    Training training;
    RunFolder run_folder;
    Progress progress;
    StopRequest stop_request{Timer(), 0, 0};
    Checkpointer checkpointer;
    PrintedText printed;
};

/// Why a call ends with a fault; "" if it does not.
template <class Call>
std::string fault_of(Call call) {
    try {
        call();
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "";
}

}  // namespace pruntrain::test
