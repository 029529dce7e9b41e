#include "pruntrain/prune/score_input.hpp"

namespace pruntrain {

namespace {

class LossGradient final : public ScoreInput {
    std::unique_ptr<Compensation> find(ScoreContext& context) const override {
        context.find_loss_gradient({});
        return nullptr;
    }
    index_t arrays_held(index_t, index_t) const override { return 0; }
    Requirements requirements() const override {
        return {.gradients_only = true,
                .exact_sums = false,
                .all_weights = false,
                .micro_batch_samples = 0,
                .channel_scale = false};
    }
};

}  // namespace

const ScoreInput& loss_gradient() {
    static const LossGradient one;
    return one;
}

void give_to_rows(std::span<const real> units, Parameter& weight, const Communicator& shards) {
    std::vector<real> rows(units.begin(), units.end());
    if (std::ssize(rows) < weight.pattern.rows()) {  // the shard has columns of all rows
        rows.resize(weight.pattern.rows());
        shards.all_gather_v(units, rows, shards.all_gather(units.size()));
    }
    weight.pattern.for_each_position(
        [&](index_t k, index_t position) { weight.gradient[k] = rows[position / weight.pattern.columns()]; });
}

}  // namespace pruntrain
