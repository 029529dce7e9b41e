// R = lambda sum |w| (Tibshirani 1996): w becomes sign(w) max(|w| - step, 0).
#include <algorithm>

#include "pruntrain/optim/regularizer.hpp"

namespace pruntrain {

namespace {

PRUNTRAIN_VECTORIZED
void soft_threshold(std::span<real> values, real step) {
    for (real& value : values) value = std::max(value - step, real{0}) + std::min(value + step, real{0});
}

class L1 final : public Regularizer {
   public:
    using Regularizer::Regularizer;
    void shrink(Parameter& parameter, double step, const Communicator&) const override {
        soft_threshold(parameter.value, static_cast<real>(step));
    }
};

}  // namespace

std::unique_ptr<Regularizer> make_l1(const Config& config) { return std::make_unique<L1>(config); }

}  // namespace pruntrain
