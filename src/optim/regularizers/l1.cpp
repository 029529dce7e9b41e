// R = lambda sum |w| (Tibshirani 1996): w becomes sign(w) max(|w| - step, 0). It applies to weights, or to the scales
// of batch-norm, whose zeros mark dispensable channels (Liu et al. 2017, "Network slimming", equation 1).
#include <algorithm>

#include "pruntrain/optim/regularizer.hpp"

namespace pruntrain {

namespace {

PRUNTRAIN_VECTORIZED
void soft_threshold(std::span<real> values, real step) {
    for (real& value : values) value = std::max(value - step, real{0}) + std::min(value + step, real{0});
}

class L1 : public Regularizer {
   public:
    using Regularizer::Regularizer;
    void shrink(Parameter& parameter, double step, const Communicator&) const override {
        soft_threshold(parameter.value, static_cast<real>(step));
    }
};

class ScaleL1 final : public L1 {
   public:
    using L1::L1;
    bool applies_to(const Parameter& parameter) const override { return parameter.name == scale_name; }
};

}  // namespace

std::unique_ptr<Regularizer> make_batch_norm_l1(const Config& config) { return std::make_unique<ScaleL1>(config); }
std::unique_ptr<Regularizer> make_l1(const Config& config) { return std::make_unique<L1>(config); }

}  // namespace pruntrain
