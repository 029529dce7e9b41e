#include "pruntrain/train/experiment.hpp"

#include <algorithm>
#include <cmath>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/config/choose.hpp"
#include "pruntrain/model/shape_error.hpp"
#include "pruntrain/prune/soft_pruned_weights.hpp"

namespace pruntrain {

namespace {

RunLength length_of(const Settings& settings, const Sampler& sampler) {
    constexpr double most_steps = 0xFFFFFFFF;  // random streams are indexed by 32 bits
    const index_t per_epoch = sampler.steps_per_epoch();
    const double steps = settings.epochs * static_cast<double>(per_epoch);
    if (steps > most_steps)
        input_error("train.epochs is ", exact(settings.epochs), ": with ", per_epoch,
                    " steps per epoch allowed is <= ", exact(std::floor(most_steps / static_cast<double>(per_epoch))));
    return {per_epoch, std::llround(steps)};
}

/// Its keys exist. Before any of them is read, so that a misspelled key is not reported as a missing one.
const Config& checked(const Config& config) {
    config.check_keys(Experiment::description());
    return config;
}

std::unique_ptr<Loss> choose_loss(const Config& config) {
    return choose(losses(), config.section("train"), "loss", "cross_entropy", "loss function");
}

std::unique_ptr<Optimizer> choose_optimizer(const Config& config) {
    return choose(optimizers(), config.section("optimizer"), "type", "adam", "optimizer");
}

std::unique_ptr<Regularizer> choose_regularizer(const Config& config) {
    return choose(regularizers(), config.section("optimizer").section("regularizer"), "type", "none",
                  "regularizer, a proximal step after each update");
}

/// @throws InputError with the shape of the data too if the network does not fit it
Model make_model(const Config& config, const Dataset& dataset, const Grid& grid, const ModelSettings& settings,
                 bool allocate) {
    try {
        return {config.list("model"), dataset.shape(), grid, settings, allocate};
    } catch (const ShapeError& error) {
        input_error(error.what(), "; ", dataset.describe_shape());
    }
}

}  // namespace

Experiment::Experiment(const Config& config, const Communicator& world, std::optional<index_t> look,
                       const DataNeeds& needs)
    : settings(checked(config)),
      grid(look ? Grid::to_look_at(world, settings.model_shards, *look) : Grid(world, settings.model_shards)),
      dataset(config.section("data"), world, needs),
      model(make_model(
          config, dataset, grid,
          {.allow_row_parallel = settings.allow_row_parallel,
           .partition_state = settings.shard_optimizer,
           .execution = settings.execution,
           .slice_samples = slice_samples(grid.replica_count()),
           .outputs_prunable = !config.has_section("prune") || !prunes_whole_outputs(config.section("prune"))},
          !look)),
      loss(choose_loss(config)),
      // Test files may be all that an evaluation reads.
      sampler(std::max(index_t{1}, dataset.samples(Split::train)), settings.global_batch, settings.seed),
      length(length_of(settings, sampler)),
      optimizer(choose_optimizer(config)),
      regularizer(choose_regularizer(config)),
      learning_rate(config.section("optimizer").section("schedule"), settings.learning_rate, length),
      configuration(config) {
    const Network& network = model.network();
    if (dataset.has_targets()) check_targets();
    if (regularizer) {
        const auto applies = [&](const auto* parameter) { return regularizer->applies_to(*parameter); };
        if (std::ranges::none_of(network.parameters(), applies))
            input_error(config.section("optimizer").place_of("regularizer"),
                        " has no parameters to act on: no layer is prunable, or, with batch_norm_l1, no "
                        "layer is batch_norm: change the model, or set regularizer to none");
    }
    if (config.has_section("prune")) pruner.emplace(config.section("prune"), settings.seed, length, network);
    if (pruner) check_criterion(config);
    if (pruner) rewinding = pruner->rewinding();
    if (rewinding.rounds() > 0) length.steps = rewinding.run_steps();  // until here the length of one training
    if (settings.saves_beside && dataset.residency() == "disk")
        input_error(
            config.section("checkpoint").place_of("asynchronous"),
            " is true with data.residency: disk, but HDF5 is not thread-safe and both need a thread: change one "
            "of them");
    config.finish();
    if (settings.slices > 0) Slices::check(settings.slices, grid.replica_count());
    resolved = config.resolved();
    model.create_slots(slot_names());
    if (!look) model.network().initialize(settings.seed);
}

void Experiment::check_targets() {
    const Network& network = model.network();
    loss->check(network.outputs(), dataset.target_width());
    if (loss->takes_probabilities(network.outputs(), dataset.target_width())) dataset.use_probabilities();
    if (classes() > 0) dataset.check_classes(classes(), network.outputs());
    else dataset.check_values();
    if (classes() == 0 && dataset.class_names().size() > 2)
        input_error("the targets are words of ", dataset.class_names().size(), " classes, but loss ",
                    configuration.section("train").place_of("loss"),
                    " compares values: use cross_entropy, and one output for each class");
}

void Experiment::check_criterion(const Config& config) {
    check_micro_batches(config.section("prune"), pruner->criterion(), dataset.samples(Split::train));
    if (settings.message == SharedSum::Message::bf16)
        pruner->check_with({PartKind::gradients, "", "bf16", {{Trait::rounded_gradients}, {}}});
    Network& network = model.network();
    for (std::size_t i = 0; i < network.layer_count(); ++i)
        for (const auto* parameter : network.layer(i).parameters())
            if (parameter->prunable && network.scale_behind(i) == nullptr)
                pruner->check_with({PartKind::layer, "", parameter->layer, {{Trait::no_batch_norm}, {}}});
}

Config Experiment::description() {
    Config config = Config::describing();
    config.has_section("prune");
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
    return config;
}

index_t Experiment::classes() const {
    const index_t outputs = model.network().outputs();
    return loss->classifies(outputs, dataset.target_width()) ? loss->classes(outputs) : 0;
}

std::string Experiment::describe() { return description().describe(); }

std::vector<std::string> Experiment::slot_names() const {
    std::vector<std::string> names = optimizer->slot_names();  // first: an update finds them by index
    if (pruner && !pruner->criterion().slot_name().empty()) names.push_back(pruner->criterion().slot_name());
    if (pruner && pruner->soft_prunes()) names.push_back(soft_pruned_slot);
    for (auto& name : rewinding.slot_names(optimizer->slot_names())) names.push_back(std::move(name));
    return names;
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
