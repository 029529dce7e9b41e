// pruntrain: arguments, subcommands, exit status.
#include <malloc.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <new>
#include <optional>
#include <thread>

#include "pruntrain/app/check_text.hpp"
#include "pruntrain/app/inspect_text.hpp"
#include "pruntrain/app/monitor.hpp"
#include "pruntrain/app/sensitivity.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/io/npy_file.hpp"
#include "pruntrain/math/blas.hpp"
#include "pruntrain/plan/scaling.hpp"
#include "pruntrain/prune/soft_pruned_weights.hpp"
#include "pruntrain/run/restore.hpp"
#include "pruntrain/run/stop_request.hpp"
#include "pruntrain/train/start.hpp"
#include "pruntrain/train/trainer.hpp"

using namespace pruntrain;

namespace {

constexpr int exit_good = 0, exit_fault = 1, exit_wrong_input = 2, exit_interrupted = 75;  // sysexits.h: EX_TEMPFAIL
constexpr int most_ranks = 1 << 24;  // of a plan: more than any machine has
constexpr double least_density = 1e-6;
constexpr index_t most_steps = 0xFFFFFFFF;  // of a run: random numbers tell as many apart
const Timer since_start;                    // of the program

constexpr const char* examples = R"(
Examples:
  mpirun -n 2 ./pruntrain inputs/fashion_lenet300.yaml
  mpirun -n 2 ./pruntrain inputs/fashion_lenet300.yaml train.epochs=5 prune.final_sparsity=0.9 run.name=short
  mpirun -n 2 ./pruntrain --profile inputs/fashion_lenet300.yaml   trains, and shows where the time went
  ./pruntrain --check inputs/fashion_cnn.yaml            what would be trained, and what it needs
  ./pruntrain --check --ranks 4096 --cluster cluster.yaml CONFIG.yaml   what it would need and take there
  ./pruntrain --describe                                 every key of a configuration
  mpirun -n 2 ./pruntrain --resume CONFIG.yaml           goes on from the newest good checkpoint
  ./pruntrain watch runs/fashion_lenet300                draws how far a run is, again and again until it is done
  ./pruntrain inspect runs/fashion_lenet300/checkpoints/step_00004300.h5
  ./pruntrain evaluate runs/fashion_lenet300/checkpoints/step_00004300.h5 --split validation
  mpirun -n 2 ./pruntrain sensitivity runs/fashion_lenet300/checkpoints/step_00004300.h5 --output sensitivity.csv

Exit status: 0 done, results are on disk; 75 stopped by SIGUSR1, SIGUSR2, SIGTERM or run.time_limit, all that was done
is in a checkpoint: start again with --resume; 2 wrong input; 1 a fault of the program or the machine.
)";

struct Arguments {
    std::string config;
    std::vector<std::string> overrides;
    bool check = false, describe = false, resume = false, overwrite = false, profile = false;
    index_t ranks = 0;  // to plan for; 0: no plan
    index_t preempt_step = 0;
    std::string cluster;
    std::optional<double> density;
    bool json = false;
    std::string checkpoint;
    std::optional<std::string> split;
    std::string outputs;
    std::vector<double> sparsities{0.5, 0.7, 0.8, 0.9, 0.95, 0.99};
    double drop = 1;  // points
    std::string csv, allocation;
    std::string run;  // to watch
    bool once = false;
};

/// Rank 0 reads, all get the text.
std::string read_text(const std::string& path, const Communicator& world) {
    std::string content;
    world.rethrow_collectively([&] {
        if (!world.is_root()) return;
        constexpr std::size_t most_bytes = 1 << 24;  // some devices have no end
        std::ifstream file(path, std::ios::binary);
        content.resize(most_bytes + 1);
        file.read(content.data(), static_cast<std::streamsize>(content.size()));
        content.resize(static_cast<std::size_t>(file.gcount()));
        if (content.empty())
            input_error("cannot read the configuration ", path,
                        ": is the path right, and is it a readable, non-empty file?");
        if (content.size() > most_bytes)
            input_error("the configuration ", path, " is longer than ", most_bytes, " bytes: is it the right file?");
    });
    world.broadcast_text(content);
    return content;
}

/// Old names that the user's configuration has.
void print_notes(const Config& config, const Communicator& world) {
    if (!world.is_root()) return;
    for (const auto& note : config.notes()) std::cerr << "pruntrain: note: " << note << "\n";
}

/// What would be trained, and with --ranks what it would need and take on so many.
void check(const Arguments& arguments, const Config& config, const Communicator& world) {
    Experiment experiment(config, world, arguments.ranks);
    print_notes(config, world);
    const auto start = look_at_start(experiment, world);
    std::string found = arguments.json ? "" : check_text(experiment) + start_text(start);
    if (arguments.ranks > 0) {
        const Cluster cluster =
            arguments.cluster.empty()
                ? Cluster{}
                : read_cluster(Config::parse(read_text(arguments.cluster, world), arguments.cluster, {}));
        const ScalingPlan plan = plan_scaling(experiment, cluster, arguments.density);
        found += arguments.json ? scaling_json(plan) : "\n" + scaling_text(plan);
    }
    if (world.is_root()) std::cout << found << std::flush;
}

/// @return the exit status
int train(const Arguments& arguments, const Communicator& world) {
    const Config config = Config::parse(read_text(arguments.config, world), arguments.config, arguments.overrides);
    if (arguments.resume && arguments.overwrite) input_error("--resume and --overwrite exclude each other: give one");
    if (arguments.check) {
        check(arguments, config, world);
        return exit_good;
    }
    Experiment experiment(config, world);
    print_notes(config, world);
    // Before there is a folder: a file that cannot be used leaves none behind, and --overwrite removes nothing.
    const auto start = arguments.resume ? std::nullopt : look_at_start(experiment, world);
    const std::string plan = check_text(experiment) + start_text(start);
    const auto existing = arguments.resume      ? ExistingRun::resume
                          : arguments.overwrite ? ExistingRun::overwrite
                                                : ExistingRun::refuse;
    const RunFolder folder(experiment.settings.output, experiment.settings.name, existing, world);
    if (world.is_root()) std::cout << plan << std::endl;
    const StopRequest stop_request(since_start, experiment.settings.time_limit_s, arguments.preempt_step);
    Trainer trainer(experiment, folder, world, arguments.profile, stop_request);
    if (!arguments.resume) trainer.start(start);
    else if (!trainer.resume()) trainer.start(look_at_start(experiment, world));
    return trainer.run() ? exit_good : exit_interrupted;
}

/// The text of a checkpoint's description, found by the root alone.
CheckpointSummary inspect(const std::string& path, const Communicator& world) {
    CheckpointSummary summary;
    world.rethrow_collectively([&] { summary = inspect_checkpoint(path); });
    return summary;
}

/// A checkpoint, with the experiment of its run.
struct Opened {
    /// @param prunes  there is a pruner, also of a run that did not prune: then by magnitude
    Opened(const Arguments& arguments, const Communicator& world, bool prunes)
        : summary(inspect(arguments.checkpoint, world)), experiment(read_config(arguments, prunes), world) {
        Model& model = experiment.model;
        const bool soft_pruned = std::ranges::find(summary.slots, soft_pruned_slot) != summary.slots.end();
        model.create_slots(soft_pruned ? summary.slots : std::vector<std::string>());
        restore({arguments.checkpoint, summary.state.partition, {}, summary.state.weights_hash}, model, Restore::run,
                world);
        if (soft_pruned) {  // the network goes without them, as in the run
            SoftPrunedWeights weights;
            weights.load_marks(model.arena().slot(model.arena().slot_number(soft_pruned_slot)), model.version());
            weights.remove(model.arena());
            model.create_slots({});
        }
        // In the tiles of the run, so that the loss is the run's to the last bit.
        model.follow_execution(experiment.slice_samples(Grid::replicas_of(summary.state.grid)));
    }

    /// @throws InputError if the data have none
    Split split(const std::string& name) const {
        const Split split = name == "train" ? Split::train : name == "validation" ? Split::validation : Split::test;
        if (experiment.dataset.samples(split) == 0)
            input_error("the data have no ", name, " split: choose another --split");
        return split;
    }

    CheckpointSummary summary;
    Experiment experiment;

   private:
    Config read_config(const Arguments& arguments, bool prunes) const {
        // The network saw its data with this normalisation; other data must be seen alike.
        const auto list = [](const std::vector<double>& values) {
            std::vector<std::string> words;
            for (const double value : values) words.push_back(exact(value));
            return "[" + join(words) + "]";
        };
        std::vector<std::string> overrides{"parallel.model_shards=1", "data.normalization=given",
                                           "data.mean=" + list(summary.normalization.mean),
                                           "data.deviation=" + list(summary.normalization.deviation)};
        const std::string source = arguments.checkpoint + ":/config";
        if (prunes && !Config::parse(summary.config, source, {}).has("prune"))
            overrides.emplace_back("prune.final_sparsity=0");
        overrides.insert(overrides.end(), arguments.overrides.begin(), arguments.overrides.end());
        return Config::parse(summary.config, source, overrides);
    }
};

std::string evaluation_text(const Evaluation& evaluation, const std::string& split) {
    return text("split     ", split, ", ", evaluation.samples, " samples\nloss      ", exact(evaluation.loss), "\n",
                std::isnan(evaluation.accuracy) ? "" : text("accuracy  ", exact(evaluation.accuracy), "\n"));
}

void evaluate_checkpoint(const Arguments& arguments, const Communicator& world) {
    Opened opened(arguments, world, false);
    Experiment& experiment = opened.experiment;
    const std::string name = arguments.split.value_or("test");
    const Split split = opened.split(name);
    std::vector<float> outputs;
    const Evaluation result = evaluate(experiment.model.network(), *experiment.loss, experiment.dataset, split,
                                       experiment.slices(), arguments.outputs.empty() ? nullptr : &outputs);
    if (!arguments.outputs.empty()) {
        if (world.size() > 1) input_error("--outputs works on one rank: start the program without mpirun");
        write_npy(arguments.outputs, {result.samples, experiment.model.network().outputs()}, outputs);
    }
    if (world.is_root()) std::cout << evaluation_text(result, name) << std::flush;
}

/// What stands in the way of a file is found before the work, not after it. On the root alone.
void check_can_write(const std::string& path) {
    if (path.empty()) return;
    const bool existed = std::filesystem::exists(path);
    if (!std::ofstream(path, std::ios::app)) input_error("cannot write ", path, ": is its folder there?");
    if (!existed) std::filesystem::remove(path);
}

void write_file(const std::string& path, const std::string& content) {
    if (path.empty()) return;
    std::ofstream file(path, std::ios::binary);
    file << content;
    file.close();
    if (!file) fault("cannot write ", path, ": is the disk full?");
}

void analyze_checkpoint(const Arguments& arguments, const Communicator& world) {
    world.rethrow_collectively([&] {
        if (!world.is_root()) return;
        check_can_write(arguments.csv);
        check_can_write(arguments.allocation);
    });
    Opened opened(arguments, world, true);
    Experiment& experiment = opened.experiment;
    if (!arguments.allocation.empty() &&
        !experiment.loss->classifies(experiment.model.network().outputs(), experiment.dataset.target_width()))
        input_error("--allocation goes by accuracy, and this is a regression: leave it out");
    const std::string name = arguments.split.value_or("validation");
    const Sensitivity sensitivity =
        analyze_sensitivity(experiment, arguments.sparsities, opened.split(name), opened.summary.state.step, world);
    const auto allocation = allocation_yaml(sensitivity, arguments.drop);
    world.rethrow_collectively([&] {
        if (!world.is_root()) return;
        const std::string heading =
            text("# For the prune section: of each layer the largest sparsity that costs, alone, at most ",
                 exact(arguments.drop), " points of accuracy.\n");
        std::cout << evaluation_text(sensitivity.whole, name) << "\n" << sensitivity_text(sensitivity);
        if (allocation) std::cout << "\n" << heading << *allocation;
        std::cout << std::flush;
        write_file(arguments.csv, sensitivity_csv(sensitivity));
        if (allocation) write_file(arguments.allocation, heading + *allocation);
    });
}

/// @return the exit status
int run(int argc, char** argv, const Communicator& world) {
    Arguments arguments;
    CLI::App app{"pruntrain trains neural networks on many MPI ranks and prunes them while it trains.", "pruntrain"};
    app.footer(examples);
    app.set_version_flag("--version", text("pruntrain ", PRUNTRAIN_VERSION, " (", blas_description(), ")"));
    app.add_option("config", arguments.config, "configuration (YAML)");
    app.add_option("overrides", arguments.overrides, "key.path=value: replaces a key of the configuration");
    CLI::Option* const checking =
        app.add_flag("--check", arguments.check, "read everything, print the plan and what it needs, train nothing");
    CLI::Option* const planning =
        app.add_option("--ranks", arguments.ranks, "with --check: predict memory, messages and time on so many ranks")
            ->check(CLI::Range(1, most_ranks))
            ->needs(checking);
    app.add_option("--cluster", arguments.cluster, "with --ranks: the machine (YAML, docs/scaling.md)")
        ->needs(planning);
    app.add_option("--density", arguments.density,
                   "with --ranks: kept part of the prunable weights, instead of the last")
        ->check(CLI::Range(least_density, 1.0))
        ->needs(planning);
    app.add_flag("--json", arguments.json, "with --ranks: the prediction for programs")->needs(planning);
    app.add_flag("--describe", arguments.describe, "print every key: meaning, type, allowed values, default");
    app.add_flag("--resume", arguments.resume, "go on from the newest good checkpoint of the run, else from the start");
    app.add_flag("--overwrite", arguments.overwrite, "remove an earlier run of the same name");
    app.add_flag("--profile", arguments.profile, "print and write where the time of the run went");
    app.add_option("--simulate-preempt", arguments.preempt_step, "stop after this step as if a signal came (for tests)")
        ->check(CLI::Range(index_t{1}, most_steps));
    CLI::App* const inspecting = app.add_subcommand("inspect", "verify a checkpoint and print what it holds");
    inspecting->add_option("file", arguments.checkpoint, "checkpoint (.h5)")->required();
    CLI::App* const watching =
        app.add_subcommand("watch", "draw accuracy, sparsity and layers of a run while it goes on");
    watching->add_option("run", arguments.run, "folder of the run: runs/NAME")->required();
    watching->add_flag("--once", arguments.once, "draw it as it is now, and end");
    CLI::App* const evaluating =
        app.add_subcommand("evaluate", "loss and accuracy of a checkpoint on a split of its data");
    evaluating->add_option("--outputs", arguments.outputs, "writes the network's outputs to this .npy file");
    CLI::App* const analyzing = app.add_subcommand(
        "sensitivity",
        "loss and accuracy of a checkpoint when one layer alone is pruned, and an allocation that follows");
    analyzing->add_option("--sparsities", arguments.sparsities, "of a layer: 0.5,0.7,...")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->capture_default_str();
    analyzing->add_option("--drop", arguments.drop, "points of accuracy that a layer of the allocation may cost")
        ->check(CLI::Range(0.0, 100.0))
        ->capture_default_str();
    analyzing->add_option("--output", arguments.csv, "writes the table to this .csv file");
    analyzing->add_option("--allocation", arguments.allocation,
                          "writes the allocation to this .yaml file: lines for a prune section");
    for (CLI::App* const reading : {evaluating, analyzing}) {
        reading->add_option("file", arguments.checkpoint, "checkpoint (.h5)")->required();
        reading->add_option("overrides", arguments.overrides, "key.path=value: replaces a key of its configuration");
        reading->add_option("--split", arguments.split, "train, validation or test")
            ->check(CLI::IsMember({"train", "validation", "test"}))
            ->default_str(reading == evaluating ? "test" : "validation");
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& wanted) {  // --help, --version
        if (world.is_root()) app.exit(wanted);
        return exit_good;
    } catch (const CLI::ParseError& error) {
        input_error(error.what(), " (pruntrain --help shows the options)");
    }

    const bool trains = app.get_subcommands().empty() && !arguments.check && !arguments.describe;
    if (!trains) StopRequest::release_signals();
    if (inspecting->parsed()) {
        const std::string table = inspect_text(inspect(arguments.checkpoint, world), arguments.checkpoint);
        if (world.is_root()) std::cout << table << std::flush;
    } else if (watching->parsed()) {
        world.rethrow_collectively([&] {
            if (world.is_root()) watch_run(arguments.run, arguments.once);
        });
    } else if (evaluating->parsed()) {
        evaluate_checkpoint(arguments, world);
    } else if (analyzing->parsed()) {
        analyze_checkpoint(arguments, world);
    } else if (arguments.describe) {
        if (world.is_root()) std::cout << Experiment::describe() << describe_cluster() << std::flush;
    } else if (arguments.config.empty()) {
        input_error("no configuration given: pruntrain CONFIG.yaml (pruntrain --help shows examples)");
    } else {
        return train(arguments, world);
    }
    return exit_good;
}

/// In one write, so that nothing that mpirun says comes between.
void complain(const std::string& message) { std::cerr << "pruntrain: " + message + "\n"; }

/// After an error that all ranks throw alike: the root prints it, and all return when all have arrived. A rank that
/// threw alone must not wait for ever for the others: it ends them.
void fail_together(const Communicator& world, const std::string& message) {
    if (world.is_root()) complain(message);
    Pending everyone = world.start_barrier();
    for (int tries = 0; tries < 500; ++tries) {
        if (everyone.done()) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    complain(text("rank ", world.rank(), " alone: ", message));
    MpiSession::abort(exit_fault);
}

}  // namespace

int main(int argc, char** argv) {
    set_up_blas(argv);
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 19);  // else what pruning frees stays with the process: it learns from large arrays
    mallopt(M_TRIM_THRESHOLD, 1 << 22);  // a few such buffers that come and go do not cost page faults each time
#endif
    std::signal(SIGXFSZ, SIG_IGN);  // a file at its size limit (ulimit -f) is a failed write with a message, not a kill
    StopRequest::catch_signals();
    try {
        const MpiSession session(argc, argv);
        const Communicator world = Communicator::world();
        try {
            return run(argc, argv, world);
        } catch (const InputError& error) {
            fail_together(world, error.what());
            return exit_wrong_input;
        } catch (const SharedFault& error) {
            fail_together(world, text("fault on ", error.what()));
            MpiSession::abort(exit_fault);  // HDF5 1.10 would crash in an ordinary end after a failed write
        } catch (const std::exception& error) {
            complain(text("fault on rank ", world.rank(), " of ", world.size(), ": ", message_of(error)));
            // A proper subset of the ranks may have failed, the others may wait in a collective: end them all.
            MpiSession::abort(exit_fault);
        }
    } catch (const std::exception& error) {
        complain(error.what());
        return exit_fault;
    }
}
