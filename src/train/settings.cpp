#include "pruntrain/train/settings.hpp"

#include <regex>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/config/choose.hpp"

namespace pruntrain {

namespace {

/// The seconds of "h:mm:ss"; 0 if it is not of that form.
double seconds_of(const std::string& clock) {
    static const std::regex form("([0-9]{1,4}):([0-5][0-9]):([0-5][0-9])");
    std::smatch part;
    if (!std::regex_match(clock, part, form)) return 0;
    return 3600.0 * std::stoi(part[1]) + 60.0 * std::stoi(part[2]) + std::stoi(part[3]);
}

}  // namespace

Settings::Settings(const Config& config) {
    const Config run = config.section("run");
    name = run.word("name", std::nullopt, "name of the run and of its folder");
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos)
        input_error(run.place_of("name"), " is '", name, "': a name has no slash and is not '.' or '..'");
    output = run.path("output", "runs", "folder that contains the folder of the run");
    seed = static_cast<std::uint64_t>(run.integer("seed", 1, at_least(0), "seed of all random numbers of the run"));
    start_from = run.path("start_from", "",
                          "checkpoint or weight file (docs/checkpoint_format.md) whose weights, pattern and batch-norm "
                          "statistics initialize a new run; step, history and optimizer state start from zero");
    progress = choose_enum(run, "progress", ProgressMode::automatic, progress_modes,
                           "progress as one line that is redrawn, or as lines; auto: redraw on a terminal");
    log_every_s = run.number("log_every_s", 30.0, above(0), "seconds between progress lines in a log");
    const std::string limit =
        run.word("time_limit", "none",
                 "h:mm:ss from the start of the program to its end: it stops early enough to save a checkpoint, with "
                 "exit status 75, and --resume continues; none: no limit");
    time_limit_s = seconds_of(limit);
    if (time_limit_s == 0 && limit != "none")
        input_error(run.place_of("time_limit"), " is '", limit,
                    "': allowed is h:mm:ss, more than 0:00:00 (1:30:00 is an hour and a half), or none");

    stall_s =
        run.number("stall_s", 0.0, at_least(0),
                   "report a rank that makes no progress for this many seconds, with its host, step and phase; more "
                   "than an evaluation or a checkpoint takes; 0: never");
    aborts_on_stall =
        run.choice("on_stall", "warn", {"warn", "abort"},
                   "if a rank makes no progress; abort: the run ends with exit status 1, so that a batch script can "
                   "restart it") == "abort";

    const Config train = config.section("train");
    epochs = train.number("epochs", std::nullopt, at_least(0),
                          "passes over the training split, of the first training if the prune schedule is "
                          "rewinding; 0: prune and save only");
    global_batch =
        train.integer("global_batch", std::nullopt, between(1, 1 << 30), "samples of an update, over all ranks");
    const bool ordered =
        train.choice(
            "sum", "fast", {"fast", "ordered"},
            "summation of gradients, losses and statistics; ordered: over fixed slices of the batch in a fixed "
            "order, so that the results are bit-identical for any number of ranks") == "ordered";
    slices =
        train.integer("slices", 8, at_least(1), "slices of the batch with sum: ordered; at least as many as ranks");
    if (!ordered) slices = 0;
    execution =
        choose_enum(train, "execution", ExecutionChoice::measured, execution_choices,
                    "kernels of pruned layers; auto: the faster ones, as measured after prune events; density: "
                    "sparse below a fixed density, so that runs are reproducible; auto with sum: ordered is density");
    if (ordered && execution == ExecutionChoice::measured) execution = ExecutionChoice::density;
    evaluate_every_epochs = train.number("evaluate_every_epochs", 1.0, above(0), "epochs between rows of history.csv");

    non_finite = choose_enum(train, "non_finite", NonFinite::stop, non_finite_policies,
                             "if the loss or a gradient is not finite; skip: the update is skipped, at most ten in a "
                             "row; roll_back: training repeats from the last checkpoint with half of the learning "
                             "rate, at most three times");

    const Config optimizer = config.section("optimizer");
    learning_rate = optimizer.number("learning_rate", std::nullopt, above(0), "full learning rate");
    weight_decay =
        optimizer.number("weight_decay", 0.0, at_least(0), "L2 decay of weights, not of biases and batch-norm");
    clip_norm =
        optimizer.number("clip_norm", 0.0, at_least(0), "largest Euclidean norm of the gradient; 0: not clipped");

    const Config parallel = config.section("parallel");
    model_shards = parallel.integer(
        "model_shards", 1, at_least(1),
        "ranks that share one copy of the model (tensor parallelism), each with a part of every layer");
    allow_row_parallel =
        parallel.choice("cut", "auto", {"auto", "outputs"},
                        "partition of a layer over shards; outputs: by outputs (column-parallel); auto: by inputs "
                        "(row-parallel) where these are more, so that the narrower side is exchanged") == "auto";
    rebalance_above = parallel.number("rebalance_above", 1.05, at_least(1),
                                      "load imbalance of the shards, largest over mean number of remaining weights in "
                                      "layers that execute sparse, above "
                                      "which rows move between shards after a prune event");
    shard_optimizer =
        parallel.flag("shard_optimizer", false,
                      "partitions the optimizer state across data-parallel ranks (ZeRO stage 1), same results");

    const std::string precision =
        config.section("reduce").choice("precision", "fp32", {"fp32", "bf16"},
                                        "of gradients between nodes; bf16: half the bytes, rounding errors are added "
                                        "in the next step (error feedback)");
    message = precision == "bf16" ? SharedSum::Message::bf16 : SharedSum::Message::exact;
    if (ordered && precision == "bf16")
        input_error("reduce.precision is bf16 with train.sum: ordered: rounding errors depend on the nodes; ",
                    "set one of them back");

    const Config checkpoint = config.section("checkpoint");
    checkpoint_every_epochs =
        checkpoint.number("every_epochs", 1.0, at_least(0), "epochs between checkpoints; 0: only at the end");
    checkpoint.alias_word("on_failure", "continue", "go_on");
    stops_on_write_failure =
        checkpoint.choice("on_failure", "stop", {"stop", "continue"},
                          "if a checkpoint or a row of history.csv cannot be written before the end of the run; older "
                          "checkpoints stay") == "stop";
    saves_beside =
        checkpoint.flag("asynchronous", false,
                        "rank 0 copies the state and a thread writes it while training continues; needs memory "
                        "for the copy");
    keep_checkpoints =
        checkpoint.integer("keep", 3, at_least(1), "newest checkpoints that are kept, besides the best one");
}

}  // namespace pruntrain
