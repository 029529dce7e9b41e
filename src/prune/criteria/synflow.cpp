// |w dR/dw| where R is the sum of the outputs for an input of ones and all weights replaced by their absolute values
// (Tanaka et al. 2020, "SynFlow"): it needs no data. The scores of the weights into a unit have the sum of
// those out of it, so that pruning in many rounds never empties a layer while another has weights to give: see
// prune.schedule.rounds, 100 in the paper.
#include <cmath>

#include "pruntrain/base/error.hpp"
#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

class SynFlow final : public Criterion {
    ScoreInput score_input() const override { return ScoreInput::flow; }

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

    std::string describe() const override { return "SynFlow"; }
};

}  // namespace

std::unique_ptr<Criterion> make_synflow(const Config&, std::uint64_t) { return std::make_unique<SynFlow>(); }

}  // namespace pruntrain
