// -(sum of g w over all training steps so far), g the gradient of the loss of a step's global batch: weights that
// training moves away from 0 have a high score, those that it moves towards 0 a low one (Sanh et al. 2020, "Movement
// pruning: adaptive sparsity by fine-tuning", equation 8, of which the learning rate of the scores changes no order).
// There a removed weight continues to accumulate a score and may return; here only with `straight_through`. With a
// penalty on the sum of sigmoid(score), as for soft movement pruning (their table 1), the rate counts.
#include <cmath>

#include "pruntrain/parallel/state_partition.hpp"
#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

PRUNTRAIN_VECTORIZED
static void subtract_products(std::span<const real> gradient, std::span<const real> value, real* __restrict sum) {
    for (std::size_t k = 0; k < gradient.size(); ++k) sum[k] -= gradient[k] * value[k];
}

/// The gradient of penalty x sigmoid(rate x sum) by the score, which is rate x sum.
static void subtract_penalty(real rate, real penalty, std::span<real> sums) {
    for (real& sum : sums) {
        const real share = 1 / (1 + std::exp(-rate * sum));
        sum -= penalty * share * (1 - share);
    }
}

namespace {

const std::string slot = "movement";

/// What the criterion's slot has accumulated over all steps.
class Accumulated final : public ScoreInput {
    std::unique_ptr<Compensation> find(ScoreContext& context) const override {
        Arena& arena = context.network.arena();
        all_gather_slot(arena, arena.slot_number(slot), context.grid.replicas(), arena.gradients());
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
};

class Movement final : public Criterion {
   public:
    explicit Movement(const Config& config)
        : rate_(static_cast<real>(config.number("rate", 1.0, above(0), "learning rate of the scores"))),
          penalty_(static_cast<real>(
              config.number("penalty", 0.0, at_least(0),
                            "on the sum of sigmoid(score): pushes all scores down, for schedule: threshold"))) {}

   private:
    const ScoreInput* score_input() const override { return &accumulated_; }
    Traits traits() const override {
        return {.has = {Trait::signed_scores}, .refuses = {Trait::prunes_before_training}};
    }
    std::string slot_name() const override { return slot; }

    void observe(Arena& arena) const override {
        const auto accumulated = arena.slot(arena.slot_number(slot));
        for (std::size_t i = 0; i < arena.parameters().size(); ++i) {
            const Block own = arena.slot_range(i);
            if (!arena.parameters()[i]->prunable || own.size == 0) continue;
            const auto first = static_cast<std::size_t>(own.first), count = static_cast<std::size_t>(own.size);
            const auto sums = accumulated.subspan(first - static_cast<std::size_t>(arena.slot_range().first), count);
            subtract_products(arena.gradients().subspan(first, count), arena.values().subspan(first, count),
                              sums.data());
            if (penalty_ > 0) subtract_penalty(rate_, penalty_, sums);
        }
    }

    std::vector<real> scores(const Parameter& parameter) const override {
        std::vector<real> scores(parameter.gradient.begin(), parameter.gradient.end());
        for (real& score : scores) score *= rate_;
        return scores;
    }

    std::string describe() const override {
        return penalty_ > 0 ? text("movement (penalty ", penalty_, ", rate ", rate_, ")") : "movement";
    }

    real rate_, penalty_;
    Accumulated accumulated_;
};

}  // namespace

std::unique_ptr<Criterion> make_movement(const Config& config, std::uint64_t) {
    return std::make_unique<Movement>(config);
}

}  // namespace pruntrain
