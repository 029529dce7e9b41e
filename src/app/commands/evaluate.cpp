// Loss and accuracy of a checkpoint on a split of its data, and the outputs of the network.
#include "pruntrain/app/commands.hpp"
#include "pruntrain/app/evaluation_text.hpp"
#include "pruntrain/app/files.hpp"
#include "pruntrain/app/find_checkpoint.hpp"
#include "pruntrain/app/open_checkpoint.hpp"
#include "pruntrain/io/npy_file.hpp"

namespace pruntrain {

ExitStatus run_command(const EvaluateOptions& options, const Session& session) {
    const Communicator& world = session.world;
    const std::string checkpoint = find_checkpoint(options.checkpoint, world);
    check_output_files({options.outputs}, {checkpoint}, world);
    OpenCheckpoint opened(checkpoint, options.overrides, false, world);
    Experiment& experiment = opened.experiment;
    Network& network = experiment.model.network();
    const Split split = opened.split(options.split);
    const bool writes = !options.outputs.empty();
    std::vector<float> outputs;
    const Evaluation result = evaluate(network, *experiment.loss, experiment.dataset, split, experiment.slices(),
                                       writes ? &outputs : nullptr);
    if (writes) {
        // Each replica has evaluated a contiguous block of the split, in the order of the ranks.
        const std::vector<real> own(outputs.begin(), outputs.end());
        const std::vector<real> all = experiment.grid.replicas().gather_v<real>(own);
        world.rethrow_collectively([&] {
            if (!world.is_root()) return;
            write_npy(options.outputs, {result.samples, network.outputs()}, std::vector<float>(all.begin(), all.end()));
        });
    }
    print(evaluation_text(result, options.split), world);
    return exit_done;
}

}  // namespace pruntrain
