// w (H g)_w, g the gradient of the loss of a global batch and H its second derivatives (Wang et al. 2020, "Picking
// winning tickets before training by preserving gradient flow", equation 8). Training lowers the loss at the rate g^T
// g; a change d of the weights changes that by 2 d^T H g to first order, so removing w, d = -w, changes it by -2 w (H
// g)_w: the weights of lowest w (H g)_w are removed, since then gradients grow, or shrink least. The paper's S is -w (H
// g)_w, and the highest are removed. The outputs are divided by a temperature ahead of the loss, 200 in the reference
// code.
#include <algorithm>
#include <array>
#include <cmath>

#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

/// H g: how the gradient g of the loss of a global batch changes along itself, by the central difference
/// (g(w + e g) - g(w - e g)) / 2e over the prunable weights, on one linear piece of relu and max-pool: a difference
/// over many pieces has the noise of those few that a batch happens to cross. The step is a small part of the weights:
/// rounding of the gradients, 1e-7 of them or more, is divided by it, and the third derivatives are multiplied by its
/// square. As a power of two it does not depend on the last bits of the norms.
class HessianGradientProduct final : public ScoreInput {
   public:
    explicit HessianGradientProduct(double temperature) : temperature_(static_cast<real>(temperature)) {}

    std::unique_ptr<Compensation> find(ScoreContext& context) const override {
        Arena& arena = context.network.arena();
        context.find_loss_gradient({temperature_, Choices::remember});
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
        context.grid.shards().all_reduce_sum(std::span<double>(squares));
        constexpr double part = 1e-2;
        const double ratio = squares[0] > 0 && squares[1] > 0 ? squares[0] / squares[1] : 1;  // 1: nothing changes
        const auto step = static_cast<real>(std::exp2(std::round(std::log2(part * std::sqrt(ratio)))));
        const auto find_gradient_at = [&](real along) {
            for (std::size_t k = 0; k < values.size(); ++k) arena.values()[k] = values[k] + along * direction[k];
            context.find_loss_gradient({temperature_, Choices::repeat});
        };
        find_gradient_at(-step);
        const std::vector<real> before(arena.gradients().begin(), arena.gradients().end());
        find_gradient_at(step);
        for (std::size_t k = 0; k < before.size(); ++k)
            arena.gradients()[k] = (arena.gradients()[k] - before[k]) / (2 * step);
        std::ranges::copy(values, arena.values().begin());
        return nullptr;
    }
    index_t arrays_held(index_t, index_t) const override { return 3; }
    Requirements requirements() const override {
        return {.gradients_only = false,
                .exact_sums = true,
                .all_weights = true,
                .micro_batch_samples = 0,
                .channel_scale = false};
    }

   private:
    real temperature_;
};

class Grasp final : public Criterion {
   public:
    explicit Grasp(double temperature) : product_(temperature) {}

   private:
    const ScoreInput* score_input() const override { return &product_; }
    Traits traits() const override { return {.has = {Trait::signed_scores}, .refuses = {}}; }

    std::vector<real> scores(const Parameter& parameter) const override {
        std::vector<real> all(parameter.value.size());
        for (std::size_t k = 0; k < all.size(); ++k) all[k] = parameter.value[k] * parameter.gradient[k];
        return all;
    }

    std::string describe() const override { return "GraSP"; }

    HessianGradientProduct product_;
};

}  // namespace

std::unique_ptr<Criterion> make_grasp(const Config& config, std::uint64_t) {
    return std::make_unique<Grasp>(
        config.number("temperature", 1.0, above(0), "the network's outputs are divided by it ahead of the loss"));
}

}  // namespace pruntrain
