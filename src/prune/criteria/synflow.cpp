// |w dR/dw| where R is the sum of the outputs for an input of ones and all weights replaced by their absolute values
// (Tanaka et al. 2020, "SynFlow"): it needs no data. The scores of the weights into a unit have the sum of
// those out of it, so that pruning in many rounds never empties a layer while another has weights to give: see
// prune.schedule.rounds, 100 in the paper.
#include <algorithm>
#include <cmath>

#include "pruntrain/base/error.hpp"
#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

/// The gradient of the sum of the outputs for an input of ones, with all weights replaced by their absolute values.
class Flow final : public ScoreInput {
    std::unique_ptr<Compensation> find(ScoreContext& context) const override {
        Network& network = context.network;
        Arena& arena = network.arena();
        const std::vector<real> signed_values(arena.values().begin(), arena.values().end());
        for (real& value : arena.values()) value = std::abs(value);
        NetworkStep step;  // one sample on every rank, as in an evaluation: all find the same
        step.tiling.samples = step.global_samples = 1;
        network.reserve(1);
        std::fill_n(network.input(), network.input_tiling(1).size(network.input_shape().size()), real{1});
        network.forward(step);
        const Tiling outputs = network.output_tiling(1);
        std::fill_n(network.output_gradient(), outputs.size(network.outputs()), real{0});
        for (index_t o = 0; o < network.outputs(); ++o) network.output_gradient()[o * outputs.width] = 1;
        network.backward(step);
        std::ranges::copy(signed_values, arena.values().begin());
        return nullptr;
    }
    index_t arrays_held(index_t, index_t) const override { return 1; }
    Requirements requirements() const override {
        return {.gradients_only = false,
                .exact_sums = false,
                .all_weights = false,
                .micro_batch_samples = 0,
                .channel_scale = false};
    }
};

class SynFlow final : public Criterion {
    const ScoreInput* score_input() const override { return &flow_; }

    std::vector<real> scores(const Parameter& parameter) const override {
        std::vector<real> all(parameter.value.size());
        for (std::size_t k = 0; k < all.size(); ++k) {
            all[k] = std::abs(parameter.gradient[k] * parameter.value[k]);
            if (!std::isfinite(all[k]))
                fault("the flow through ", parameter.full_name(),
                      " is too large for a number: ", "the criterion synflow needs smaller weights, or fewer layers");
        }
        return all;
    }

    Traits traits() const override { return {}; }
    std::string describe() const override { return "SynFlow"; }

    Flow flow_;
};

}  // namespace

std::unique_ptr<Criterion> make_synflow(const Config&, std::uint64_t) { return std::make_unique<SynFlow>(); }

}  // namespace pruntrain
