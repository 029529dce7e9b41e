#include "pruntrain/train/training_step.hpp"

#include <array>

#include "pruntrain/math/elementwise.hpp"
#include "pruntrain/parallel/state_partition.hpp"

namespace pruntrain {

namespace {

void divide(std::span<real> values, real divisor) {
    if (divisor == 1) return;
    for (real& value : values) value /= divisor;
}

}  // namespace

TrainingStep::TrainingStep(Experiment& experiment, const Slices& slices, Profile& profile)
    : experiment_(experiment),
      slices_(slices),
      profile_(profile),
      reducer_(slices.ordered() ? GradientReducer(experiment.grid.replicas(), slices)
                                : GradientReducer(experiment.grid.replicas(), experiment.settings.message)) {
    step_.training = true;
    step_.seed = experiment.settings.seed;
    step_.sum_over_slices = [this](std::span<const double> rows, std::span<double> totals) {
        slices_.finish(slices_.start_sum(rows), totals);
        profile_.add(
            {.summed_bytes = experiment_.grid.replicas().size() > 1 ? static_cast<double>(rows.size_bytes()) : 0});
    };
}

void TrainingStep::begin(const Batch& batch, const StepOptions& options) {
    Network& network = experiment_.model.network();
    network.reserve(experiment_.slice_samples(experiment_.grid.replicas().size()), slices_.own().size);
    step_.step = options.training_step;
    step_.global_samples = batch.global_samples;
    step_.slices = batch.slices;
    step_.tiling.samples = batch.samples();
    step_.choices = options.choices;
    const SoftPrunedWeights::MaskScope masked = mask();
    const auto flops = [&](std::size_t layer) { return 2 * network.layer(layer).multiply_adds(step_.tiling.samples); };
    for (std::size_t layer = 0; layer < network.layer_count(); ++layer) {
        profile_.enter(Phase::forward, layer);
        profile_.add({.flops = flops(layer)});
        network.forward(step_, layer);
    }
    loss_ = start_loss(batch, options);
    profile_.enter(Phase::reduce);
    summed_before_ = reducer_.bytes_summed();
    reducer_.begin(network.arena(), options.to_owners);
    step_.terms = reducer_.terms(network.arena());
    for (std::size_t layer = network.layer_count(); layer-- > 0;) {
        profile_.enter(Phase::backward, layer);
        profile_.add({.flops = flops(layer) * (network.needs_input_gradient(layer) ? 2 : 1)});
        network.backward(step_, layer);
        profile_.enter(Phase::reduce);
        reducer_.ready(network.finished(layer));
    }
}

Slices::Sum TrainingStep::start_loss(const Batch& batch, const StepOptions& options) {
    profile_.enter(Phase::loss);
    Network& network = experiment_.model.network();
    const index_t outputs = network.outputs(), target_width = experiment_.dataset.target_width();
    std::vector<double> rows;  // per slice
    const float* targets = batch.targets.data();
    for (index_t slice = 0; slice < std::ssize(batch.slices); ++slice) {
        const index_t samples = batch.slices[slice].samples;
        const Tiling tiling = network.output_tiling(samples);
        const std::size_t values = tiling.size(outputs);
        divide(std::span(network.output(slice), values), options.temperature);
        const LossSums sums = experiment_.loss->evaluate(tiling, outputs, network.output(slice), targets, target_width,
                                                         batch.global_samples, network.output_gradient(slice));
        divide(std::span(network.output_gradient(slice), values), options.temperature);
        targets += samples * target_width;
        rows.insert(rows.end(), {sums.loss, static_cast<double>(sums.correct), options.stop_requests});
    }
    return slices_.start_sum(rows);
}

StepSums TrainingStep::finish() {
    profile_.enter(Phase::reduce);
    reducer_.finish();
    std::array<double, 3> sums{};
    slices_.finish(std::move(*loss_), sums);
    loss_.reset();
    profile_.add({.summed_bytes = static_cast<double>(reducer_.bytes_summed() - summed_before_)});
    return {.loss = sums[0], .correct = sums[1], .stop_requests = sums[2]};
}

void TrainingStep::update(index_t step, double rate_factor) {
    profile_.enter(Phase::update);
    Arena& arena = experiment_.model.arena();
    profile_.add({.moved_bytes = static_cast<double>(arrays_moved(experiment_.optimizer->slot_names().size()) *
                                                     arena.slot_range().size) *
                                 sizeof(real)});
    const Settings& settings = experiment_.settings;
    const Rewinding& rewinding = experiment_.rewinding;
    if (experiment_.pruner && step < experiment_.pruner->end_step()) experiment_.pruner->criterion().observe(arena);
    if (experiment_.pruner) soft_pruned_.decay(arena, static_cast<real>(experiment_.pruner->hidden_decay()));
    soft_pruned_.save_frozen(arena);
    update_parameters(*experiment_.optimizer, arena, rewinding.update_number(step), learning_rate_at(step, rate_factor),
                      settings.weight_decay, settings.clip_norm, experiment_.grid.shards());
    if (arena.state_is_partitioned()) {
        profile_.enter(Phase::reduce);
        all_gather_values(arena, experiment_.grid.replicas());
        profile_.add({.summed_bytes = static_cast<double>(arena.size()) * sizeof(real)});
        profile_.enter(Phase::update);
    }
    if (experiment_.regularizer)
        experiment_.regularizer->apply(arena, learning_rate_at(step, rate_factor),
                                       experiment_.length.epoch(static_cast<double>(rewinding.training_step(step))),
                                       experiment_.grid.shards());
    soft_pruned_.restore_frozen(arena, experiment_.optimizer->slot_names());
}

double TrainingStep::learning_rate_at(index_t step, double rate_factor) const {
    return rate_factor * experiment_.learning_rate.at(experiment_.rewinding.training_step(step));
}

void TrainingStep::sum_over_slices(const ScoreContext::SetSlice& set) {
    Arena& arena = experiment_.model.arena();
    reducer_.reset_residual();  // the residual belongs to gradients
    reducer_.begin(arena);
    auto terms = reducer_.terms(arena);
    if (terms.empty()) terms.push_back({{slices_.own().first, 1}, arena.gradients().data()});
    for (const auto& term : terms) sum_node(set, term.node, {term.gradients, arena.gradients().size()});
    reducer_.finish();
    reducer_.reset_residual();
}

void TrainingStep::sum_node(const ScoreContext::SetSlice& set, const TreeNode& node, std::span<real> sums) {
    if (node.size == 1) return set(node.first, sums);
    AlignedVector<real> scratch(sums.size());
    sum_node(set, node.left(), sums);
    sum_node(set, node.right(), scratch);
    add(scratch, sums.data());
}

}  // namespace pruntrain
