// Where the gradient of the loss of one global batch at the present weights is largest, including inactive weights
// (Evci et al. 2020, "RigL"). The absolute value is taken after the sum over all ranks.
#include <algorithm>
#include <cmath>

#include "pruntrain/prune/regrowth.hpp"

namespace pruntrain {

namespace {

class GradientRegrowth final : public Regrowth {
   public:
    using Regrowth::Regrowth;

    bool soft_prunes() const override { return false; }
    const ScoreInput* score_input() const override { return &loss_gradient(); }

    void score(Scored& places, index_t) const override {
        std::ranges::transform(places.parameter->gradient, places.scores.begin(),
                               [](real gradient) { return std::abs(gradient); });
    }

   private:
    std::string how() const override { return "by gradient"; }
};

}  // namespace

std::unique_ptr<Regrowth> make_gradient(const Config& config, std::uint64_t, const RunLength& length) {
    return std::make_unique<GradientRegrowth>(config, length);
}

}  // namespace pruntrain
