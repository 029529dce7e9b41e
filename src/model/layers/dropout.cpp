// Inverted dropout (Srivastava et al. 2014): in training y = x / (1 - rate) with probability 1 - rate, else 0; in
// evaluation y = x. The mask is a pure function of seed, layer, step, sample position in the global batch and feature.
// So it is the same for any number of ranks. One random draw gives the mask of four features of a sample. The mask is
// stored in one byte for backward, 1/16 of the activations' memory, so it is drawn once only.
#include <algorithm>
#include <cmath>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/random.hpp"
#include "pruntrain/model/layer.hpp"

namespace pruntrain {

namespace {

constexpr index_t features_per_draw = 4;

/// y (features, T) = factor * x where bit f of kept[t] is 1, else 0, for up to four features. May be in place.
/// Multiplies instead of branching: the loop vectorizes, and NaN stays NaN.
PRUNTRAIN_VECTORIZED
void drop(index_t features, index_t width, const std::uint8_t* kept, real factor, const real* x, real* y) {
    for (index_t f = 0; f < features; ++f)
        for (index_t lane = 0; lane < width; ++lane)
            y[f * width + lane] = x[f * width + lane] * (factor * static_cast<real>(kept[lane] >> f & 1));
}

class Dropout final : public Layer {
   public:
    Dropout(LayerPlace place, double rate)
        : Layer(place, place.input),
          rate_(rate),
          factor_(static_cast<real>(1 / (1 - rate))),
          first_feature_(input_channels().first * place.input.pixels()),
          first_draw_(first_feature_ / features_per_draw),
          draws_((first_feature_ + place.input.size() + features_per_draw - 1) / features_per_draw - first_draw_),
          all_draws_((input_channels().total * place.input.pixels() + features_per_draw - 1) / features_per_draw) {}

    std::string describe() const override { return text("dropout, rate ", rate_); }
    InPlace in_place() const override { return InPlace::overwrites; }
    std::optional<std::vector<double>> of_constants(std::vector<double> inputs) const override {
        return repeat_constants(inputs);
    }
    std::size_t held_bytes(const Tiling& tiling) const override {
        return static_cast<std::size_t>(tiling.size(draws_));
    }

    void forward(const StepContext& step, const real* x, real* y, Workspace) override {
        if (!step.training) {
            if (x != y) std::copy_n(x, step.tiling.size(input_shape().size()), y);
            return;
        }
        const RandomStream random(step.seed, Purpose::dropout, number(), step.step);
        const auto threshold = static_cast<std::uint32_t>(std::min(rate_ * 0x1p32, 0x1p32 - 1));
        const index_t needed = (step.first_tile + step.tiling.tiles()) * draws_ * step.tiling.width;
        if (static_cast<index_t>(kept_.size()) < needed) kept_.resize(needed);
        for_each_draw(step, [&](index_t tile, index_t d, std::uint8_t* kept, index_t features, index_t begin) {
            const index_t lanes = step.tiling.lanes(tile);
            for (index_t lane = 0; lane < lanes; ++lane) {
                const index_t sample = step.first_sample + tile * step.tiling.width + lane;
                const auto bits = random.bits(static_cast<std::uint64_t>(sample * all_draws_ + first_draw_ + d));
                unsigned flags = 0;
                for (std::size_t f = 0; f < bits.size(); ++f) flags |= (bits[f] >= threshold ? 1u : 0u) << f;
                kept[lane] = static_cast<std::uint8_t>(d == 0 ? flags >> first_feature_ % features_per_draw : flags);
            }
            std::fill(kept + lanes, kept + step.tiling.width, std::uint8_t{0});  // padding lanes are masked out
            drop(features, step.tiling.width, kept, factor_, x + begin, y + begin);
        });
    }

    void backward(const StepContext& step, const real*, const real*, const real* dy, real* dx, Gradients,
                  Workspace) override {
        if (!step.training || dx == nullptr) return;
        for_each_draw(step, [&](index_t, index_t, std::uint8_t* kept, index_t features, index_t begin) {
            drop(features, step.tiling.width, kept, factor_, dy + begin, dx + begin);
        });
    }

   private:
    /// work(tile, draw, its kept_ (T), its features, their offset in an array of activations)
    template <class Work>
    void for_each_draw(const StepContext& step, Work work) {
        const Tiling& tiling = step.tiling;
        const index_t size = input_shape().size();
        std::uint8_t* kept = kept_.data() + step.first_tile * draws_ * tiling.width;
        for (index_t tile = 0; tile < tiling.tiles(); ++tile)
            for (index_t d = 0; d < draws_; ++d, kept += tiling.width) {
                // The features of this draw that this shard holds.
                const index_t begin = std::max((first_draw_ + d) * features_per_draw, first_feature_) - first_feature_;
                const index_t end = std::min((first_draw_ + d + 1) * features_per_draw - first_feature_, size);
                work(tile, d, kept, end - begin, (tile * size + begin) * tiling.width);
            }
    }

    double rate_;
    real factor_;
    index_t first_feature_;           // of this shard
    index_t first_draw_;              // index of the first draw that this shard needs
    index_t draws_;                   // per sample, of this shard: features / 4, rounded up
    index_t all_draws_;               // per sample, of all shards
    std::vector<std::uint8_t> kept_;  // (tile, draw, sample) of the last forward
};

}  // namespace

std::unique_ptr<Layer> make_dropout(const Config& config, LayerPlace place) {
    const double rate =
        config.number("rate", 0.5, from_up_to_below(0, 1), "fraction of the inputs set to 0 in training");
    return std::make_unique<Dropout>(std::move(place), rate);
}

}  // namespace pruntrain
