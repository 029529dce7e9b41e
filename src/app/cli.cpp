#include "pruntrain/app/cli.hpp"

#include <CLI/CLI.hpp>

#include <sstream>

#include "pruntrain/app/files.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/math/blas.hpp"

namespace pruntrain {

namespace {

constexpr int max_ranks = 1 << 24;  // more than any machine has
constexpr double min_density = 1e-6;
constexpr index_t max_steps = 0xFFFFFFFF;  // of a run: random numbers distinguish as many

constexpr const char* examples = R"(Examples:
  mpirun -n 2 ./pruntrain inputs/fashion_lenet300.yaml
  mpirun -n 2 ./pruntrain inputs/fashion_lenet300.yaml train.epochs=5 prune.final_sparsity=0.9 run.name=short
  mpirun -n 2 ./pruntrain --profile inputs/fashion_lenet300.yaml         train, and show where the time goes
  mpirun -n 2 ./pruntrain --resume inputs/fashion_lenet300.yaml          resume from the newest valid checkpoint
  ./pruntrain --check inputs/fashion_cnn.yaml                            what would be trained, and what it needs
  ./pruntrain --check --ranks 4096 --cluster cluster.yaml CONFIG.yaml    predict memory and time on that machine
  ./pruntrain --describe                                                 every key of a configuration
  ./pruntrain monitor runs/fashion_lenet300                              show the progress of a run until it ends
  ./pruntrain inspect runs/fashion_lenet300/checkpoints/step_00017200.h5
  ./pruntrain evaluate runs/fashion_lenet300/checkpoints/step_00017200.h5 --split validation
  mpirun -n 2 ./pruntrain sensitivity runs/fashion_lenet300/checkpoints/step_00017200.h5 --output sensitivity.csv

Each command has its own help: ./pruntrain evaluate --help

Exit status:
  0   done, the results are on disk
  1   a fault of the program or the machine
  2   wrong input: the message says what is allowed
  75  stopped by SIGUSR1, SIGUSR2, SIGTERM or run.time_limit, and saved: start again with --resume
)";

/// Where the parser stores the options of all commands.
struct Options {
    bool checks = false, describes = false;
    std::string config;
    std::vector<std::string> overrides;
    TrainOptions train;
    CheckOptions check;
    InspectOptions inspect;
    EvaluateOptions evaluate;
    SensitivityOptions sensitivity;
    MonitorOptions monitor;
};

void add_independent(CLI::App& command, bool& independent) {
    command.add_flag("--independent", independent,
                     "each task that srun starts works alone, on a run of its own; without it, several tasks of one "
                     "rank each are refused");
}

/// Training, and what takes a configuration without training.
void add_training(CLI::App& app, Options& options) {
    app.add_option("config", options.config, "configuration file (YAML)")->type_name("FILE");
    app.add_option("overrides", options.overrides, "key.path=value: replaces a key of the configuration")
        ->type_name("KEY=VALUE");
    CLI::Option* const check = app.add_flag(
        "--check", options.checks, "validate the configuration and print the plan and its needs, without training");
    CLI::Option* const ranks =
        app.add_option("--ranks", options.check.ranks, "with --check: predict memory, messages and time on N ranks")
            ->type_name("N")
            ->check(CLI::Range(1, max_ranks))
            ->needs(check);
    app.add_option("--cluster", options.check.cluster, "with --ranks: description of the machine (docs/scaling.md)")
        ->type_name("FILE")
        ->needs(ranks);
    app.add_option("--density", options.check.density,
                   "with --ranks: density of the prunable weights, instead of that at the end of the run")
        ->type_name("DENSITY")
        ->check(CLI::Range(min_density, 1.0))
        ->needs(ranks);
    app.add_flag("--json", options.check.json, "with --ranks: print the prediction as JSON")->needs(ranks);
    app.add_flag("--describe", options.describes,
                 "print every key of a configuration: meaning, type, allowed values, default");
    app.add_flag("--resume", options.train.resume,
                 "resume from the newest valid checkpoint of the run; without one, start from the beginning");
    app.add_flag("--overwrite", options.train.overwrite, "remove an earlier run of the same name first");
    app.add_flag(
        "--unlock", options.train.unlock,
        "remove run.lock of a run that has certainly ended, without waiting; a process that trains there after "
        "all ends with status 1");
    app.add_flag("--profile", options.train.profile, "print how the time is spent, and write it to profile.csv");
    add_independent(app, options.train.independent);
    app.add_option("--simulate-preempt", options.train.preempt_step,
                   "stop after this step as after a signal (for tests)")
        ->type_name("STEP")
        ->check(CLI::Range(index_t{1}, max_steps));
}

/// The options of a command that evaluates a checkpoint.
template <class CheckpointOptions>
void add_evaluation(CLI::App& command, CheckpointOptions& options) {
    command
        .add_option("file", options.checkpoint,
                    "checkpoint (.h5), or the folder of a run: its best or newest checkpoint")
        ->type_name("FILE")
        ->required();
    command
        .add_option("overrides", options.overrides,
                    "key.path=value: replaces a key of the configuration in the checkpoint")
        ->type_name("KEY=VALUE");
    command.add_option("--split", options.split, "split of the data to evaluate")
        ->type_name("SPLIT")
        ->check(CLI::IsMember({"train", "validation", "test"}))
        ->capture_default_str();
    add_independent(command, options.independent);
}

CLI::App& add_inspect(CLI::App& app, InspectOptions& options) {
    CLI::App* const command =
        app.add_subcommand("inspect", "verify the checksums of a checkpoint and print its content");
    command
        ->add_option("file", options.checkpoint,
                     "checkpoint (.h5), or the folder of a run: its best or newest checkpoint")
        ->type_name("FILE")
        ->required();
    command->footer("Example:\n  ./pruntrain inspect runs/NAME/checkpoints/step_00017200.h5\n");
    return *command;
}

CLI::App& add_evaluate(CLI::App& app, EvaluateOptions& options) {
    CLI::App* const command = app.add_subcommand(
        "evaluate", "compute loss and accuracy of a checkpoint on a split of its data, on any number of ranks");
    add_evaluation(*command, options);
    command
        ->add_option("--outputs", options.outputs,
                     "write the outputs of the network to this .npy file: a row for each sample of the split")
        ->type_name("FILE");
    command->add_flag(
        "--metrics", options.metrics,
        "print precision, recall and F1 of each class, or R2 and the mean absolute error of a regression");
    command
        ->add_option("--confusion", options.confusion,
                     "write the confusion matrix to this .csv file: a row for each class, a column for each answer")
        ->type_name("FILE");
    command->add_flag("--no-targets", options.no_targets,
                      "the test files have no targets: only --outputs is written, without loss and accuracy");
    command->footer(
        "Examples:\n"
        "  ./pruntrain evaluate runs/NAME --outputs outputs.npy --no-targets data.test_inputs=new.npy\n"
        "  ./pruntrain evaluate runs/NAME/checkpoints/step_00017200.h5 --split validation\n"
        "  mpirun -n 2 ./pruntrain evaluate runs/NAME/checkpoints/step_00017200.h5 --outputs outputs.npy\n");
    return *command;
}

CLI::App& add_sensitivity(CLI::App& app, SensitivityOptions& options) {
    CLI::App* const command = app.add_subcommand(
        "sensitivity",
        "compute loss and accuracy of a checkpoint with one layer pruned at a time, and derive an allocation");
    add_evaluation(*command, options);
    command->add_option("--sparsities", options.sparsities, "sparsities of the layer, separated by commas")
        ->type_name("LIST")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->capture_default_str();
    command->add_option("--drop", options.drop, "points of accuracy that a layer of the allocation may cost")
        ->type_name("POINTS")
        ->check(CLI::Range(0.0, 100.0))
        ->capture_default_str();
    command->add_option("--output", options.table, "write the table to this .csv file")->type_name("FILE");
    command
        ->add_option("--allocation", options.allocation,
                     "write the allocation to this .yaml file: lines for a prune section")
        ->type_name("FILE");
    command->footer(
        "Example:\n  mpirun -n 2 ./pruntrain sensitivity runs/NAME/checkpoints/step_00017200.h5 --sparsities 0.5,0.9 "
        "--output sensitivity.csv\n");
    return *command;
}

/// @param name  its own, or the old one, which help does not show
CLI::App& add_monitor(CLI::App& app, MonitorOptions& options, const std::string& name) {
    CLI::App* const command = app.add_subcommand(
        name, "show accuracy, sparsity and layer densities of a run in the terminal until the run ends");
    command->add_option("run", options.run, "folder of the run: runs/NAME")->type_name("FOLDER")->required();
    command->add_flag("--once", options.once, "show the current state and exit");
    command->footer("Example:\n  ./pruntrain monitor runs/NAME\n");
    return *command;
}

/// @throws CLI::Error, also for help
Command parse(CLI::App& app, Options& options, int argc, const char* const* argv) {
    app.footer(examples);
    app.set_version_flag("--version", text("pruntrain ", PRUNTRAIN_VERSION, " (", blas_description(), ")"),
                         "print the version and exit");
    app.set_help_flag("-h,--help", "print this help and exit");
    add_training(app, options);
    const CLI::App& inspect = add_inspect(app, options.inspect);
    const CLI::App& monitor = add_monitor(app, options.monitor, "monitor");
    CLI::App& watch = add_monitor(app, options.monitor, "watch");
    watch.group("");
    const CLI::App& evaluate = add_evaluate(app, options.evaluate);
    const CLI::App& sensitivity = add_sensitivity(app, options.sensitivity);
    app.parse(argc, argv);

    options.monitor.called_watch = watch.parsed();
    if (inspect.parsed()) return options.inspect;
    if (monitor.parsed() || watch.parsed()) return options.monitor;
    if (evaluate.parsed()) return options.evaluate;
    if (sensitivity.parsed()) return options.sensitivity;
    if (options.describes) return DescribeOptions{};
    if (options.config.empty())
        input_error("no configuration given: pruntrain CONFIG.yaml (pruntrain --help shows examples)");
    if (options.train.resume && options.train.overwrite)
        input_error("--resume and --overwrite exclude each other: give one");
    options.check.config = options.train.config = options.config;
    options.check.overrides = options.train.overrides = options.overrides;
    if (options.checks) return options.check;
    return options.train;
}

}  // namespace

std::optional<Command> parse_command_line(int argc, const char* const* argv, const Communicator& world) {
    Options options;
    CLI::App app{"pruntrain trains neural networks over MPI ranks and prunes them while it trains.", "pruntrain"};
    try {
        return parse(app, options, argc, argv);
    } catch (const CLI::Success& wanted) {  // --help, --version
        std::ostringstream out;
        app.exit(wanted, out, out);
        print(out.str(), world);
        return {};
    } catch (const CLI::ParseError& error) {
        input_error(error.what(), " (pruntrain --help shows the options)");
    }
}

}  // namespace pruntrain
