// Scores of whole units or channels, which all weights into them share: the scale of the batch-norm behind (Liu et al.
// 2017, "Learning efficient convolutional networks through network slimming"), the mean absolute activation, and the
// share of activations that are not 0 (Hu et al. 2016, "Network trimming", whose APoZ is the share that is).
// Activations are those behind the relu that follows; of channels, over all pixels.
#include <algorithm>
#include <cmath>

#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

/// Of all weights into a unit or channel, the scale of the batch-norm right behind.
class ChannelScale final : public ScoreInput {
    std::unique_ptr<Compensation> find(ScoreContext& context) const override {
        for (std::size_t i = 0; i < context.network.layer_count(); ++i)
            for (auto* parameter : context.network.layer(i).parameters())
                if (parameter->prunable)
                    give_to_rows(context.network.scale_behind(i)->value, *parameter, context.grid.shards());
        return nullptr;
    }
    index_t arrays_held(index_t, index_t) const override { return 0; }
    Requirements requirements() const override { return {.gradients_only = false, .channel_scale = true}; }
};

/// The layer whose output is the activation of a layer's units: behind batch-norm and what works in place, so relu.
std::size_t activation_of(Network& network, std::size_t layer) {
    if (network.layer(layer).computes_partial_sums()) ++layer;  // their sums
    const Shape shape = network.layer(layer).output_shape();
    while (layer + 1 < network.layer_count()) {
        const Layer& next = network.layer(layer + 1);
        if (next.output_shape() != shape || (next.in_place() == InPlace::never && next.channel_scale() == nullptr))
            break;
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

/// Of all weights into a unit or channel, over a global batch, the mean absolute activation or the share of activations
/// that are not 0.
class Activations final : public ScoreInput {
   public:
    explicit Activations(bool share) : share_(share) {}

    std::unique_ptr<Compensation> find(ScoreContext& context) const override {
        Network& network = context.network;
        struct Units {
            Parameter* weight;
            std::size_t layer;  ///< whose output is their activation
            std::size_t first;  ///< of the units among those of all layers
            std::size_t count;
        };
        std::vector<Units> all;
        std::size_t count = 0;
        for (std::size_t i = 0; i < network.layer_count(); ++i)
            for (auto* parameter : network.layer(i).parameters()) {
                if (!parameter->prunable) continue;
                const std::size_t layer = activation_of(network, i);
                all.push_back(
                    {parameter, layer, count, static_cast<std::size_t>(network.layer(layer).output_shape().channels)});
                count += all.back().count;
            }
        const NetworkStep step = context.evaluation_step();
        std::vector<double> rows(count * step.slice_count()), totals(count);
        for (std::size_t layer = 0; layer < network.layer_count(); ++layer) {
            network.forward(step, layer);
            for (const Units& units : all)
                for (std::size_t slice = 0; units.layer == layer && slice < step.slice_count(); ++slice)
                    sum_activations(network.tiling(layer, step.slices[slice].samples),
                                    network.layer(layer).output_shape().pixels(),
                                    network.activation(layer, static_cast<index_t>(slice)), network.is_fused(layer),
                                    share_, std::span(rows).subspan(slice * count + units.first, units.count));
        }
        context.slices.finish(context.slices.start_sum(rows), totals);
        for (const Units& units : all) {
            const index_t terms = step.global_samples * network.layer(units.layer).output_shape().pixels();
            std::vector<real> means;
            for (const double total : std::span(totals).subspan(units.first, units.count))
                means.push_back(static_cast<real>(total / static_cast<double>(terms)));
            give_to_rows(means, *units.weight, context.grid.shards());
        }
        return nullptr;
    }
    index_t arrays_held(index_t, index_t) const override { return 0; }
    Requirements requirements() const override { return {.gradients_only = false}; }

   private:
    bool share_;
};

class Units final : public Criterion {
   public:
    Units(std::string name, std::unique_ptr<ScoreInput> input) : name_(std::move(name)), input_(std::move(input)) {}

    const ScoreInput* score_input() const override { return input_.get(); }
    bool scores_units() const override { return true; }

    std::vector<real> scores(const Parameter& parameter) const override {
        std::vector<real> all(parameter.value.size());
        for (std::size_t k = 0; k < all.size(); ++k) all[k] = std::abs(parameter.gradient[k]);
        return all;
    }

    std::string describe() const override { return name_; }

   private:
    std::string name_;
    std::unique_ptr<ScoreInput> input_;
};

}  // namespace

std::unique_ptr<Criterion> make_batch_norm_scale(const Config&, std::uint64_t) {
    return std::make_unique<Units>("batch-norm scale", std::make_unique<ChannelScale>());
}
std::unique_ptr<Criterion> make_activation(const Config&, std::uint64_t) {
    return std::make_unique<Units>("activation", std::make_unique<Activations>(false));
}
std::unique_ptr<Criterion> make_apoz(const Config&, std::uint64_t) {
    return std::make_unique<Units>("APoZ", std::make_unique<Activations>(true));
}

}  // namespace pruntrain
