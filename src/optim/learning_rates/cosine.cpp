// Cosine annealing from the full rate to its final fraction (Loshchilov & Hutter 2017, without restarts).
#include <cmath>
#include <numbers>

#include "pruntrain/optim/learning_rate.hpp"

namespace pruntrain {

namespace {

class Cosine final : public RateShape {
   public:
    explicit Cosine(double final_fraction) : final_(final_fraction) {}
    double factor(double, double progress) const override {
        return final_ + (1 - final_) * (1 + std::cos(std::numbers::pi * progress)) / 2;
    }

   private:
    double final_;
};

}  // namespace

std::unique_ptr<RateShape> make_cosine(const Config& config) {
    return std::make_unique<Cosine>(
        config.number("final_fraction", 0.0, between(0, 1), "final rate as a fraction of the full rate"));
}

}  // namespace pruntrain
