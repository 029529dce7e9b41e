// Scores of whole units or channels, which all weights into them share: the scale of the batch-norm that follows (Liu
// et al. 2017, "Learning efficient convolutional networks through network slimming"), the mean absolute activation, and
// the share of activations that are not 0 (Hu et al. 2016, "Network trimming", whose APoZ is the share that is).
// Activations are taken after the relu that follows; those of channels over all pixels.
#include <algorithm>
#include <cmath>

#include "pruntrain/model/activations.hpp"
#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

/// Of all weights into a unit or channel, the scale of the batch-norm that follows directly.
class ChannelScale final : public ScoreInput {
    std::unique_ptr<Compensation> find(ScoreContext& context) const override {
        for (std::size_t i = 0; i < context.network.layer_count(); ++i)
            for (auto* parameter : context.network.layer(i).parameters())
                if (parameter->prunable)
                    give_to_rows(context.network.scale_behind(i)->value, *parameter, context.grid.shards());
        return nullptr;
    }
    index_t arrays_held(index_t, index_t) const override { return 0; }
    Requirements requirements() const override {
        return {.gradients_only = false,
                .exact_sums = false,
                .all_weights = false,
                .micro_batch_samples = 0,
                .channel_scale = true};
    }
};

/// Of all weights into a unit or channel, over a global batch, the mean absolute activation or the share of activations
/// that are not 0.
class Activations final : public ScoreInput {
   public:
    explicit Activations(ActivationSum sum) : sum_(sum) {}

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
                const std::size_t layer = activation_layer(network, i);
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
                                    sum_, std::span(rows).subspan(slice * count + units.first, units.count));
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
    Requirements requirements() const override {
        return {.gradients_only = false,
                .exact_sums = false,
                .all_weights = false,
                .micro_batch_samples = 0,
                .channel_scale = false};
    }

   private:
    ActivationSum sum_;
};

class Units final : public Criterion {
   public:
    Units(std::string name, std::unique_ptr<ScoreInput> input) : name_(std::move(name)), input_(std::move(input)) {}

    const ScoreInput* score_input() const override { return input_.get(); }
    Traits traits() const override { return {.has = {Trait::unit_scores}, .refuses = {}}; }

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
    return std::make_unique<Units>("activation", std::make_unique<Activations>(ActivationSum::absolute));
}
std::unique_ptr<Criterion> make_apoz(const Config&, std::uint64_t) {
    return std::make_unique<Units>("APoZ", std::make_unique<Activations>(ActivationSum::active));
}

}  // namespace pruntrain
