// R = lambda sum |w| (Tibshirani 1996): w becomes sign(w) max(|w| - step, 0).
#include "pruntrain/optim/regularizer.hpp"

namespace pruntrain {

namespace {

PRUNTRAIN_VECTORIZED
void soft_threshold(std::span<real> values, real step) {
    for (real& value : values) {
        const real below = value < 0 ? value + step : real{0};
        const real above = value > 0 ? value - step : real{0};
        value = (above > 0 ? above : real{0}) + (below < 0 ? below : real{0});
    }
}

class L1 final : public Regularizer {
   public:
    using Regularizer::Regularizer;
    void shrink(Parameter& parameter, double step) const override {
        soft_threshold(parameter.value, static_cast<real>(step));
    }
    std::string describe() const override { return "L1"; }
};

}  // namespace

std::unique_ptr<Regularizer> make_l1(const Config& config) { return std::make_unique<L1>(config); }

}  // namespace pruntrain
