// Loss, accuracy and other metrics of a checkpoint on a split of its data, and the outputs of the network.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "pruntrain/app/commands.hpp"
#include "pruntrain/app/evaluation_text.hpp"
#include "pruntrain/app/files.hpp"
#include "pruntrain/app/find_checkpoint.hpp"
#include "pruntrain/app/open_checkpoint.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/io/npy_file.hpp"

namespace pruntrain {

namespace {

Metrics empty_metrics(const Experiment& experiment, bool confusion) {
    constexpr index_t most_classes = 4096;  // a matrix of 128 MiB
    const index_t outputs = experiment.model.network().outputs(), classes = experiment.classes();
    if (classes > most_classes)
        input_error("--metrics and --confusion count up to ", most_classes, " classes, and this network has ", classes,
                    ": leave them out");
    if (classes == 0 && confusion) input_error("--confusion is for classes, and this is a regression: leave it out");
    if (experiment.loss->takes_probabilities(outputs, experiment.dataset.target_width()))
        input_error("--metrics needs labels or values, and these targets are probabilities: leave it out");
    return {classes, outputs};
}

/// @param outputs  (sample, output)
void require_finite(const std::vector<real>& outputs, index_t width) {
    const auto bad = std::ranges::find_if_not(outputs, [](real value) { return std::isfinite(value); });
    if (bad == outputs.end()) return;
    const index_t place = bad - outputs.begin();
    input_error("output ", place % width, " of sample ", place / width, " (both counted from 0) is ", *bad,
                ": the network overflows on it. Look for inputs far larger than those of the training samples");
}

void check_options(const EvaluateOptions& options) {
    const std::string ending = std::filesystem::path(options.outputs).extension();
    if (!ending.empty() && ending != ".npy")
        input_error("--outputs is ", options.outputs, ": the file is in NumPy's format, so its name must end in .npy");
    if (!options.no_targets) return;
    if (options.split != "test")
        input_error("--no-targets is for test files, and --split is ", options.split, ": use --split test");
    if (options.outputs.empty() || options.metrics || !options.confusion.empty())
        input_error("--no-targets computes only the outputs: give --outputs FILE, without --metrics and --confusion");
}

}  // namespace

ExitStatus run_command(const EvaluateOptions& options, const Session& session) {
    const Communicator& world = session.world;
    const FoundCheckpoint checkpoint = find_checkpoint(options.checkpoint, world);
    check_output_files({options.outputs, options.confusion}, {checkpoint.path}, world);
    check_options(options);
    const DataNeeds needs{.training = options.split != "test", .targets = !options.no_targets};
    OpenCheckpoint opened(checkpoint, options.overrides, {.pruner = false, .data = needs}, world);
    Experiment& experiment = opened.experiment;
    Network& network = experiment.model.network();
    const Split split = opened.split(options.split);
    experiment.dataset.check_held_out(world);
    const bool writes = !options.outputs.empty();
    std::optional<Metrics> metrics;
    if (options.metrics || !options.confusion.empty()) metrics = empty_metrics(experiment, !options.confusion.empty());
    std::vector<float> outputs;
    const Evaluation result = evaluate(network, *experiment.loss, experiment.dataset, split, experiment.slices(),
                                       writes ? &outputs : nullptr, metrics ? &*metrics : nullptr);
    if (!options.no_targets) require_finite(result, options.split);
    if (writes) {
        // Each replica has evaluated a contiguous block of the split, in the order of the ranks.
        const std::vector<real> own(outputs.begin(), outputs.end());
        const std::vector<real> all = experiment.grid.replicas().gather_v<real>(own);
        world.rethrow_collectively([&] {
            if (!world.is_root()) return;
            require_finite(all, network.outputs());
            write_npy(options.outputs, {result.samples, network.outputs()}, std::vector<float>(all.begin(), all.end()));
        });
    }
    std::string found = options.no_targets ? text("split     test, ", result.samples, " samples without targets\n")
                                           : evaluation_text(result, options.split);
    if (writes) found += "outputs   " + options.outputs + "\n";
    if (metrics) {
        metrics->reduce(experiment.grid.replicas());
        std::vector<std::string> labels;
        for (index_t one = 0; one < metrics->classes(); ++one) labels.push_back(experiment.dataset.label(one));
        if (options.metrics) found += metrics_text(*metrics, labels);
        world.rethrow_collectively([&] {
            if (!world.is_root() || options.confusion.empty()) return;
            write_file(options.confusion, confusion_csv(*metrics, labels));
        });
    }
    print(found, world);
    return exit_done;
}

}  // namespace pruntrain
