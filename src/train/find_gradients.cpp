// The numbers that criteria look at: parts of the trainer.
#include <algorithm>
#include <array>
#include <cmath>

#include "pruntrain/math/elementwise.hpp"
#include "pruntrain/parallel/state_partition.hpp"
#include "pruntrain/train/batch_gradient.hpp"
#include "pruntrain/train/trainer.hpp"

namespace pruntrain {

void Trainer::find_gradients(ScoreInput what) {
    if (what == ScoreInput::nothing) return;
    const SoftPrunedWeights::MaskScope hiding = hide();
    std::vector<std::vector<real>> statistics;  // a batch moves running means
    for (const auto& [layer, statistic] : network_.statistics()) statistics.push_back(statistic->values);
    switch (what) {
        case ScoreInput::nothing:
            break;
        case ScoreInput::loss:
            next_batch();
            forward_and_backward(false, false);
            break;
        case ScoreInput::flow:
            find_flow_gradients();
            break;
        case ScoreInput::slot: {
            Arena& arena = network_.arena();
            all_gather_slot(arena, arena.slot_number(experiment_.pruner->criterion().slot_name()), grid_.replicas(),
                            arena.gradients());
            break;
        }
        case ScoreInput::squares:
            find_squares(experiment_.pruner->criterion().micro_batches());
            break;
        case ScoreInput::curvature:
            find_curvatures();
            break;
        case ScoreInput::change:
            find_hessian_vector_product();
            break;
        case ScoreInput::channel_scale:
            find_channel_scales();
            break;
        case ScoreInput::mean_activation:
        case ScoreInput::active_share:
            find_activations(what == ScoreInput::active_share);
            break;
    }
    std::size_t next = 0;
    for (const auto& [layer, statistic] : network_.statistics()) statistic->values = statistics[next++];
    batch_step_ = -1;  // the batch in the network's input is gone
}

void Trainer::find_flow_gradients() {
    profile_.enter(Phase::prune);
    Arena& arena = network_.arena();
    const std::vector<real> signed_values(arena.values().begin(), arena.values().end());
    for (real& value : arena.values()) value = std::abs(value);
    NetworkStep step;  // one sample on every rank, as in an evaluation: all find the same
    step.tiling.samples = step.global_samples = 1;
    network_.reserve(1);
    std::fill_n(network_.input(), network_.input_tiling(1).size(network_.input_shape().size()), real{1});
    network_.forward(step);
    const Tiling outputs = network_.output_tiling(1);
    std::fill_n(network_.output_gradient(), outputs.size(network_.outputs()), real{0});
    for (index_t o = 0; o < network_.outputs(); ++o) network_.output_gradient()[o * outputs.width] = 1;
    for (std::size_t layer = network_.layer_count(); layer-- > 0;) network_.backward(step, layer);
    std::ranges::copy(signed_values, arena.values().begin());
}

void Trainer::find_squares(const MicroBatches& micro_batches) {
    profile_.enter(Phase::prune);
    Arena& arena = network_.arena();
    // The sums of a training step serve: with sum: ordered they have the same bits on any number of ranks, since the
    // slices have the same micro-batches, and the tree over the slices is the same.
    reducer_.reset_residual();  // it is of gradients
    reducer_.begin(arena);
    auto terms = reducer_.terms(arena);
    if (terms.empty()) terms.push_back({{slices_.own().first, 1}, arena.gradients().data()});
    const Sampler sampler = sampler_of(micro_batches, experiment_.dataset, experiment_.settings.seed);
    for (const auto& term : terms)
        add_squares(sampler, micro_batches.count, term.node, {term.gradients, arena.gradients().size()});
    reducer_.finish();
    reducer_.reset_residual();
    for (real& sum : arena.gradients()) sum /= static_cast<real>(micro_batches.count);
}

void Trainer::add_squares(const Sampler& sampler, index_t count, const TreeNode& node, std::span<real> sums) {
    AlignedVector<real> scratch(sums.size());
    if (node.size > 1) {
        add_squares(sampler, count, node.left(), sums);
        add_squares(sampler, count, node.right(), scratch);
        return add(scratch, sums.data());
    }
    std::ranges::fill(sums, real{0});
    const Block own = even_block(count, node.first, slices_.count());
    for (index_t number = own.first; number < own.first + own.size; ++number) {
        find_batch_gradient(network_, *experiment_.loss, experiment_.dataset, sampler, state_.step * count + number,
                            scratch);
        for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += scratch[k] * scratch[k];
    }
}

void Trainer::find_curvatures() {
    profile_.enter(Phase::prune);
    Arena& arena = network_.arena();
    const Criterion& criterion = experiment_.pruner->criterion();
    const index_t count = criterion.micro_batches().count;
    const Sampler sampler = sampler_of(criterion.micro_batches(), experiment_.dataset, experiment_.settings.seed);
    fisher_.emplace(arena, criterion.fisher_blocks(), count, grid_.replicas());
    AlignedVector<real> gradient(arena.gradients().size());
    for (index_t first = 0; first < count; first += grid_.replicas().size()) {
        const index_t number = first + grid_.replicas().rank();
        if (number < count)
            find_batch_gradient(network_, *experiment_.loss, experiment_.dataset, sampler, state_.step * count + number,
                                gradient);
        fisher_->add(gradient);
    }
    fisher_->find_curvatures(arena.gradients());
    if (!criterion.fisher_blocks().update) fisher_.reset();
}

void Trainer::find_hessian_vector_product() {
    // The central difference (g(w + e g) - g(w - e g)) / 2e, over the prunable weights, on one linear piece of relu and
    // max-pool: a difference over many pieces has the noise of those few that a batch happens to cross. The step is a
    // small part of the weights: rounding of the gradients, 1e-7 of them or more, is divided by it, and the third
    // derivatives are multiplied by its square. As a power of two it does not depend on the last bits of the norms.
    constexpr double part = 1e-2;
    next_batch();
    temperature_ = static_cast<real>(experiment_.pruner->criterion().temperature());
    step_.choices = Choices::remember;
    forward_and_backward(false, false);
    step_.choices = Choices::repeat;
    Arena& arena = network_.arena();
    const std::vector<real> values(arena.values().begin(), arena.values().end());
    std::vector<real> direction(values.size(), real{0});
    std::array<double, 2> squares{};  // of weights, of gradients
    for (std::size_t i = 0; i < arena.parameters().size(); ++i) {
        const Parameter& parameter = *arena.parameters()[i];
        if (!parameter.prunable) continue;
        std::ranges::copy(parameter.gradient, direction.begin() + arena.offset(i));
        for (std::size_t k = 0; k < parameter.value.size(); ++k) {
            squares[0] += static_cast<double>(parameter.value[k]) * static_cast<double>(parameter.value[k]);
            squares[1] += static_cast<double>(parameter.gradient[k]) * static_cast<double>(parameter.gradient[k]);
        }
    }
    grid_.shards().all_reduce_sum(std::span<double>(squares));
    const double ratio = squares[0] > 0 && squares[1] > 0 ? squares[0] / squares[1] : 1;  // 1: nothing changes
    const auto step = static_cast<real>(std::exp2(std::round(std::log2(part * std::sqrt(ratio)))));
    const auto gradient_at = [&](real along) {
        for (std::size_t k = 0; k < values.size(); ++k) arena.values()[k] = values[k] + along * direction[k];
        batch_step_ = -1;  // a first layer that works in place has changed the batch
        next_batch();
        forward_and_backward(false, false);
    };
    gradient_at(-step);
    const std::vector<real> before(arena.gradients().begin(), arena.gradients().end());
    gradient_at(step);
    for (std::size_t k = 0; k < before.size(); ++k)
        arena.gradients()[k] = (arena.gradients()[k] - before[k]) / (2 * step);
    std::ranges::copy(values, arena.values().begin());
    step_.choices = Choices::free;
    temperature_ = 1;
}

namespace {

/// @param units  one number for each unit that this shard holds: the weights into it, on all shards, get it
void give_to_rows(std::span<const real> units, Parameter& weight, const Communicator& shards) {
    std::vector<real> rows(units.begin(), units.end());
    if (std::ssize(rows) < weight.pattern.rows()) {  // the shard has columns of all rows
        rows.resize(static_cast<std::size_t>(weight.pattern.rows()));
        shards.all_gather_v(units, rows, shards.all_gather(units.size()));
    }
    weight.pattern.for_each_position([&](index_t k, index_t position) {
        weight.gradient[static_cast<std::size_t>(k)] =
            rows[static_cast<std::size_t>(position / weight.pattern.columns())];
    });
}

/// The layer whose output is the activation of a layer's units: behind batch-norm and what works in place, so relu.
std::size_t activation_of(Network& network, std::size_t layer) {
    if (network.layer(layer).computes_partial_sums()) ++layer;  // their sums
    const Shape shape = network.layer(layer).output_shape();
    while (layer + 1 < network.layer_count()) {
        const Layer& next = network.layer(layer + 1);
        if (next.output_shape() != shape || (!next.in_place() && next.channel_scale() == nullptr)) break;
        ++layer;
    }
    return layer;
}

/// Sums over samples and pixels of a tiling, of absolute activations or of those that are not 0.
/// @param activations  (tile, channel, pixel, sample) @param sums  set: of each channel
void sum_activations(const Tiling& tiling, index_t pixels, const real* activations, bool before_relu, bool share,
                     std::span<double> sums) {
    std::ranges::fill(sums, 0.0);
    for (index_t tile = 0; tile < tiling.tiles(); ++tile)
        for (double& sum : sums)
            for (index_t pixel = 0; pixel < pixels; ++pixel, activations += tiling.width)
                for (index_t lane = 0; lane < tiling.lanes(tile); ++lane) {
                    const real x = activations[lane];
                    const real active = before_relu ? std::max(x, real{0}) : std::abs(x);
                    sum += share ? static_cast<double>(active != 0) : static_cast<double>(active);
                }
}

}  // namespace

void Trainer::find_channel_scales() {
    profile_.enter(Phase::prune);
    for (std::size_t i = 0; i < network_.layer_count(); ++i)
        for (auto* parameter : network_.layer(i).parameters())
            if (parameter->prunable) give_to_rows(network_.scale_behind(i)->value, *parameter, grid_.shards());
}

void Trainer::find_activations(bool share) {
    next_batch();
    profile_.enter(Phase::prune);
    struct Units {
        Parameter* weight;
        std::size_t layer;  ///< whose output is their activation
        std::size_t first;  ///< of the units among those of all layers
        std::size_t count;
    };
    std::vector<Units> all;
    std::size_t numbers = 0;
    for (std::size_t i = 0; i < network_.layer_count(); ++i)
        for (auto* parameter : network_.layer(i).parameters()) {
            if (!parameter->prunable) continue;
            const std::size_t layer = activation_of(network_, i);
            all.push_back(
                {parameter, layer, numbers, static_cast<std::size_t>(network_.layer(layer).output_shape().channels)});
            numbers += all.back().count;
        }
    NetworkStep step = step_;
    step.training = false;  // no dropout
    std::vector<double> rows(numbers * step.slice_count()), totals(numbers);
    for (std::size_t layer = 0; layer < network_.layer_count(); ++layer) {
        network_.forward(step, layer);
        for (const Units& units : all)
            for (std::size_t slice = 0; units.layer == layer && slice < step.slice_count(); ++slice)
                sum_activations(network_.tiling(layer, step.slices[slice].samples),
                                network_.layer(layer).output_shape().pixels(),
                                network_.activation(layer, static_cast<index_t>(slice)), network_.is_fused(layer),
                                share, std::span(rows).subspan(slice * numbers + units.first, units.count));
    }
    slices_.finish(slices_.start_sum(rows), totals);
    for (const Units& units : all) {
        const index_t terms = step.global_samples * network_.layer(units.layer).output_shape().pixels();
        std::vector<real> means;
        for (const double total : std::span(totals).subspan(units.first, units.count))
            means.push_back(static_cast<real>(total / static_cast<double>(terms)));
        give_to_rows(means, *units.weight, grid_.shards());
    }
}

}  // namespace pruntrain
