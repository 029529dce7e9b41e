#include "pruntrain/optim/learning_rate.hpp"

namespace pruntrain {

namespace {

class Constant final : public RateShape {
    double factor(double, double) const override { return 1; }
};

}  // namespace

std::unique_ptr<RateShape> make_constant(const Config&) { return std::make_unique<Constant>(); }

}  // namespace pruntrain
