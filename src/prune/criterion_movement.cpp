// -(sum of g w over all training steps so far), g the gradient of the loss of a step's global batch: weights that
// training moves away from 0 have a high score, those that it moves towards 0 a low one (Sanh et al. 2020, "Movement
// pruning: adaptive sparsity by fine-tuning", equation 8, of which the learning rate of the scores changes no order).
// There a removed weight goes on collecting a score and may come back; here it is gone.
#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

PRUNTRAIN_VECTORIZED
static void subtract_products(std::span<const real> gradient, std::span<const real> value, real* __restrict score) {
    for (std::size_t k = 0; k < gradient.size(); ++k) score[k] -= gradient[k] * value[k];
}

namespace {

class Movement final : public Criterion {
    GradientOf gradient_of() const override { return GradientOf::slot; }
    bool is_signed() const override { return true; }
    std::string slot_name() const override { return "movement"; }

    void observe(Arena& arena) const override {
        const auto slot = arena.slot(arena.slot_number(slot_name()));
        for (std::size_t i = 0; i < arena.parameters().size(); ++i) {
            const Block own = arena.slot_range(i);
            if (!arena.parameters()[i]->prunable || own.size == 0) continue;
            const auto first = static_cast<std::size_t>(own.first), count = static_cast<std::size_t>(own.size);
            subtract_products(arena.gradients().subspan(first, count), arena.values().subspan(first, count),
                              slot.data() + own.first - arena.slot_range().first);
        }
    }

    std::vector<real> scores(const Parameter& parameter) const override {
        return {parameter.gradient.begin(), parameter.gradient.end()};
    }

    std::string describe() const override { return "movement"; }
};

}  // namespace

std::unique_ptr<Criterion> make_movement(const Config&, std::uint64_t) { return std::make_unique<Movement>(); }

}  // namespace pruntrain
