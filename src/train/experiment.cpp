#include "pruntrain/train/experiment.hpp"

#include <algorithm>
#include <cmath>
#include <regex>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/config/choose.hpp"
#include "pruntrain/parallel/exchange_layer.hpp"
#include "pruntrain/parallel/execution_planner.hpp"
#include "pruntrain/parallel/partition.hpp"
#include "pruntrain/parallel/state_partition.hpp"
#include "pruntrain/prune/soft_pruned_weights.hpp"

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

namespace {

RunLength length_of(const Settings& settings, const Sampler& sampler) {
    constexpr double most_steps = 0xFFFFFFFF;  // random numbers tell 2^32 steps apart
    const index_t per_epoch = sampler.steps_per_epoch();
    const double steps = settings.epochs * static_cast<double>(per_epoch);
    if (steps > most_steps)
        input_error("train.epochs is ", exact(settings.epochs), ": with ", per_epoch,
                    " steps an epoch allowed is <= ", exact(std::floor(most_steps / static_cast<double>(per_epoch))));
    return {per_epoch, std::llround(steps)};
}

std::unique_ptr<Loss> choose_loss(const Config& config) {
    return choose(losses(), config.section("train"), "loss", "cross_entropy", "what training makes small");
}

std::unique_ptr<Optimizer> choose_optimizer(const Config& config) {
    return choose(optimizers(), config.section("optimizer"), "type", "adam", "how a gradient becomes an update");
}

std::unique_ptr<Regularizer> choose_regularizer(const Config& config) {
    return choose(regularizers(), config.section("optimizer").section("regularizer"), "type", "none",
                  "a proximal step after each update");
}

}  // namespace

Experiment::Experiment(const Config& config, const Communicator& world, std::optional<index_t> look)
    : settings(config),
      grid(look ? Grid::to_look_at(world, settings.model_shards, *look) : Grid(world, settings.model_shards)),
      dataset(config.section("data"), world),
      model(config.list("model")),
      network(make_network({}, !look)),
      loss(choose_loss(config)),
      sampler(dataset.samples(Split::train), settings.global_batch, settings.seed),
      length(length_of(settings, sampler)),
      optimizer(choose_optimizer(config)),
      regularizer(choose_regularizer(config)),
      learning_rate(config.section("optimizer").section("schedule"), settings.learning_rate, length) {
    loss->check(network.outputs(), dataset.target_width());
    if (loss->classifies(network.outputs(), dataset.target_width())) dataset.check_classes(network.outputs());
    if (regularizer) {
        const auto applies = [&](const auto* parameter) { return regularizer->applies_to(*parameter); };
        if (std::ranges::none_of(network.parameters(), applies))
            input_error(config.section("optimizer").place_of("regularizer"),
                        " finds nothing in the model to make zero: no layer is prunable, or, with batch_norm_l1, no "
                        "batch_norm is there: change the model, or set regularizer to none");
    }
    if (config.has("prune")) pruner.emplace(config.section("prune"), settings.seed, length, network);
    if (pruner) check_criterion(config);
    if (pruner) rewinding = pruner->rewinding();
    if (rewinding.rounds() > 0) length.steps = rewinding.run_steps();  // until here it was that of one training
    if (settings.saves_beside && dataset.residency() == "disk")
        input_error(
            config.section("checkpoint").place_of("asynchronous"),
            " is true with data.residency: disk: HDF5 has room for one thread, and samples are read in one: set one "
            "of them back");
    config.finish();
    if (settings.slices > 0) Slices::check(settings.slices, grid.replica_count());
    resolved = config.resolved();
    network.arena().create_slots(slot_names(), state_partition());
    if (!look) network.initialize(settings.seed);
    network.set_tile_widths(tile_widths(slice_samples(grid.replica_count())));
}

void Experiment::check_criterion(const Config& config) {
    const Config prune = config.section("prune");
    const Criterion& criterion = pruner->criterion();
    const index_t micro = criterion.micro_batches().samples, samples = dataset.samples(Split::train);
    if (micro > samples)
        input_error(prune.section("criterion").place_of("samples"), " is ", micro, ", but the training split has ",
                    samples, " samples: allowed is <= ", samples);
    if (criterion.score_input() == ScoreInput::change && settings.message == SharedSum::Message::bf16)
        input_error(prune.place_of("criterion"), " is ", criterion.describe(), " with reduce.precision bf16: the ",
                    "difference of two gradients needs all their bits; set precision to fp32");
    if (criterion.score_input() != ScoreInput::channel_scale) return;
    for (std::size_t i = 0; i < network.layer_count(); ++i)
        for (const auto* parameter : network.layer(i).parameters())
            if (parameter->prunable && network.scale_behind(i) == nullptr)
                input_error(prune.place_of("criterion"), " is ", criterion.describe(), ", but no batch_norm stands ",
                            "right behind layer ", parameter->layer, ": add one, or set prunable: false there");
}

std::string Experiment::describe() {
    const Config config = Config::describing();
    const Settings settings(config);
    Dataset::describe(config.section("data"));
    Network::describe(config.list("model").front());
    choose_loss(config);
    choose_optimizer(config);
    choose_regularizer(config);
    const RunLength length{.steps_per_epoch = 1, .steps = 1};
    const LearningRate rate(config.section("optimizer").section("schedule"), settings.learning_rate, length);
    const Config sample = Config::parse("model: [{layer: dense, units: 100}]", "sample", {});
    const Network network(sample.list("model"), {100, 1, 1});
    const Pruner pruner(config.section("prune"), settings.seed, length, network);
    return config.describe();
}

Network Experiment::make_network(const Partition& cuts, bool allocate) const {
    return {model,
            dataset.shape(),
            {grid.shard(), grid.model_shards(), cuts, settings.allow_row_parallel},
            [this](const LayerPlace& place, Network::Exchange what, bool last) {
                return make_exchange_layer(place, what, last, grid.shards());
            },
            allocate};
}

std::vector<std::string> Experiment::slot_names() const {
    std::vector<std::string> names = optimizer->slot_names();  // first: an update takes them by their number
    if (pruner && !pruner->criterion().slot_name().empty()) names.push_back(pruner->criterion().slot_name());
    if (pruner && pruner->soft_prunes()) names.push_back(soft_pruned_slot);
    for (auto& name : rewinding.slot_names(optimizer->slot_names())) names.push_back(std::move(name));
    return names;
}

std::optional<StatePartition> Experiment::state_partition() const {
    if (!settings.shard_optimizer || grid.replicas().size() == 1) return {};
    return partition_state(grid.replicas());
}

void Experiment::cut(const Partition& cuts, bool move) {
    Network next = make_network(cuts, false);
    if (move) {
        repartition_network(network, next, grid, state_partition());
    } else {
        for (std::size_t i = 0; i < network.parameters().size(); ++i)
            next.parameters()[i]->full_shape = network.parameters()[i]->full_shape;
        next.arena().create_slots(network.arena().slot_names(), state_partition());
    }
    network = std::move(next);
}

void Experiment::shrink(const Partition& cuts, const AliveChannels& alive) {
    Network next = make_network(cuts, false);
    compact_network(network, next, alive, grid, state_partition());
    network = std::move(next);
}

Slices Experiment::slices() const {
    return settings.slices > 0 ? Slices(grid.replicas(), settings.slices) : Slices(grid.replicas());
}

index_t Experiment::slices_of_rank() const {
    const index_t replicas = grid.replica_count();
    return settings.slices > 0 ? (settings.slices + replicas - 1) / replicas : 1;
}

index_t Experiment::slice_samples(index_t replicas) const {
    const index_t slices = settings.slices > 0 ? settings.slices : replicas;
    return even_block(settings.global_batch, slices - 1, slices).size;
}

}  // namespace pruntrain
