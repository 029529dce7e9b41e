#include "pruntrain/train/settings.hpp"

#include <regex>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/parallel/execution_planner.hpp"

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
    output = run.word("output", "runs", "folder in which the run's folder stands");
    seed = static_cast<std::uint64_t>(run.integer("seed", 1, at_least(0), "of all random numbers of the run"));
    start_from = run.word("start_from", "",
                          "checkpoint or weight file (docs/checkpoint_format.md) whose weights, pattern and batch-norm "
                          "statistics a new run begins with; step, history and optimizer begin anew");
    progress = run.choice("progress", "auto", {"auto", "redraw", "lines"},
                          "progress as one line that is redrawn, or as lines; auto: redraw on a terminal");
    log_every_s = run.number("log_every_s", 30.0, above(0), "seconds from one progress line to the next in a log");
    const std::string limit =
        run.word("time_limit", "none",
                 "h:mm:ss from the start of the program to its end: it stops early enough to save a checkpoint, with "
                 "exit status 75, for --resume to go on; none: no limit");
    time_limit_s = seconds_of(limit);
    if (time_limit_s == 0 && limit != "none")
        input_error(run.place_of("time_limit"), " is '", limit,
                    "': allowed is h:mm:ss, more than 0:00:00 (1:30:00 is an hour and a half), or none");

    stall_s =
        run.number("stall_s", 0.0, at_least(0),
                   "seconds after which a rank that stands still is told by number, host, step and phase; more than "
                   "an evaluation or a checkpoint takes; 0: never");
    aborts_on_stall =
        run.choice("on_stall", "warn", {"warn", "abort"},
                   "abort: the run ends with exit status 1, so that a batch script can start it again") == "abort";

    const Config train = config.section("train");
    epochs = train.number("epochs", std::nullopt, at_least(0),
                          "passes over the training split, of the first training if the prune schedule is "
                          "rewinding; 0: prune and save only");
    global_batch = train.integer("global_batch", std::nullopt, at_least(1), "samples of an update, over all ranks");
    const bool ordered =
        train.choice(
            "sum", "fast", {"fast", "ordered"},
            "of gradients, losses and statistics; ordered: over fixed slices of the batch in one fixed order, so "
            "that any number of ranks computes the same bits") == "ordered";
    slices = train.integer("slices", 8, at_least(1), "of the batch with sum: ordered; at least as many as ranks");
    if (!ordered) slices = 0;
    execution =
        train.choice("execution", "auto", execution_choices,
                     "of layers that have lost weights; auto: the faster, as measured after prune events; density: "
                     "sparse below a fixed density, so that a run repeats; auto with sum: ordered is density");
    if (ordered && execution == "auto") execution = "density";
    evaluate_every_epochs =
        train.number("evaluate_every_epochs", 1.0, above(0), "epochs from one row of history.csv to the next");

    non_finite = train.choice("non_finite", "stop", {"stop", "skip", "roll_back"},
                              "if the loss or a gradient is not finite; skip: the update is left out, ten in a row at "
                              "most; roll_back: from the last checkpoint again with half of the learning rate, three "
                              "times at most");

    const Config optimizer = config.section("optimizer");
    learning_rate = optimizer.number("learning_rate", std::nullopt, above(0), "full learning rate");
    weight_decay =
        optimizer.number("weight_decay", 0.0, at_least(0), "L2 decay of weights; biases and batch-norm have none");
    clip_norm =
        optimizer.number("clip_norm", 0.0, at_least(0), "largest Euclidean norm of the gradient; 0: not clipped");

    const Config parallel = config.section("parallel");
    model_shards = parallel.integer("model_shards", 1, at_least(1),
                                    "ranks that share one copy of the model, each with a part of every layer");
    allow_row_parallel =
        parallel.choice("cut", "auto", {"auto", "outputs"},
                        "each shard has weights of a block of a layer's outputs, or, with auto and where the "
                        "outputs are fewer, of its inputs: the narrower side is exchanged") == "auto";
    rebalance_above = parallel.number(
        "rebalance_above", 1.05, at_least(1),
        "of the fullest shard's kept weights over the mean, in layers that execute sparse: then, after a prune event, "
        "rows move between shards so that all have about as many");
    shard_optimizer = parallel.flag("shard_optimizer", false,
                                    "each replica holds and updates a part of the optimizer's state, the same results");

    const std::string precision = config.section("reduce").choice(
        "precision", "fp32", {"fp32", "bf16"},
        "of gradients that go from node to node; bf16: half the bytes, what rounding takes away is added a step later");
    message = precision == "bf16" ? SharedSum::Message::bf16 : SharedSum::Message::exact;
    if (ordered && precision == "bf16")
        input_error("reduce.precision is bf16 with train.sum: ordered: what rounding takes away depends on the nodes; ",
                    "set one of them back");

    const Config checkpoint = config.section("checkpoint");
    checkpoint_every_epochs = checkpoint.number("every_epochs", 1.0, at_least(0),
                                                "epochs from one checkpoint to the next; 0: only at the end");
    stops_on_write_failure =
        checkpoint.choice("on_failure", "stop", {"stop", "go_on"},
                          "if a checkpoint or a row of history.csv cannot be written before the end of the run; older "
                          "checkpoints stay") == "stop";
    saves_beside =
        checkpoint.flag("asynchronous", false,
                        "rank 0 takes a copy and a thread writes it while training goes on; needs the memory "
                        "of the copy there");
    keep_checkpoints = checkpoint.integer("keep", 3, at_least(1), "newest checkpoints that are kept, besides the best");
}

}  // namespace pruntrain
