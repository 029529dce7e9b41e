// Loss and accuracy of a checkpoint with one layer pruned at a time, and the allocation that follows.
#include "pruntrain/app/sensitivity.hpp"
#include "pruntrain/app/commands.hpp"
#include "pruntrain/app/evaluation_text.hpp"
#include "pruntrain/app/files.hpp"
#include "pruntrain/app/find_checkpoint.hpp"
#include "pruntrain/app/open_checkpoint.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

ExitStatus run_command(const SensitivityOptions& options, const Session& session) {
    const Communicator& world = session.world;
    const FoundCheckpoint checkpoint = find_checkpoint(options.checkpoint, world);
    check_output_files({options.table, options.allocation}, {checkpoint.path}, world);
    OpenCheckpoint opened(checkpoint, options.overrides, {.pruner = true, .data = {}}, world);
    Experiment& experiment = opened.experiment;
    if (!options.allocation.empty() &&
        !experiment.loss->classifies(experiment.model.network().outputs(), experiment.dataset.target_width()))
        input_error("--allocation goes by accuracy, and this is a regression: leave it out");
    const Sensitivity sensitivity = analyze_sensitivity(experiment, options.sparsities, opened.split(options.split),
                                                        opened.summary.state.step, world);
    require_finite(sensitivity.whole, options.split);
    std::string found = evaluation_text(sensitivity.whole, options.split) + "\n" + sensitivity_text(sensitivity);
    std::string allocation;
    if (const auto lines = allocation_yaml(sensitivity, options.drop)) {
        allocation = text("# For the prune section: of each layer the largest sparsity that costs, alone, at most ",
                          exact(options.drop), " points of accuracy.\n", *lines);
        found += "\n" + allocation;
    }
    print(found, world);
    world.rethrow_collectively([&] {
        if (!world.is_root()) return;
        if (!options.table.empty()) write_file(options.table, sensitivity_csv(sensitivity));
        if (!options.allocation.empty()) write_file(options.allocation, allocation);
    });
    return exit_done;
}

}  // namespace pruntrain
