// Adam (Kingma & Ba 2015, algorithm 1): m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
// w -= rate * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + epsilon).
// Weight decay: Adam adds lambda w to g; AdamW (Loshchilov & Hutter 2019) subtracts rate * lambda * w from w instead.
#include <cmath>

#include "pruntrain/optim/optimizer.hpp"

namespace pruntrain {

struct AdamFactors {
    real beta1, beta2, epsilon;
    real rate;            ///< rate / (1 - b1^t)
    real inverse_root;    ///< 1 / sqrt(1 - b2^t)
    real scale;           ///< of the gradient
    real decay_gradient;  ///< lambda of Adam
    real keep;            ///< 1 - rate * lambda of AdamW
};

PRUNTRAIN_VECTORIZED
static void adam_update(std::span<real> value, std::span<const real> gradient, real* __restrict mean,
                        real* __restrict square, const AdamFactors& factors) {
    real* __restrict const w = value.data();
    const real* __restrict const g = gradient.data();
    const AdamFactors f = factors;
    const std::size_t size = value.size();
    for (std::size_t i = 0; i < size; ++i) {
        const real slope = f.scale * g[i] + f.decay_gradient * w[i];
        mean[i] = f.beta1 * mean[i] + (1 - f.beta1) * slope;
        square[i] = f.beta2 * square[i] + (1 - f.beta2) * slope * slope;
        w[i] = f.keep * w[i] - f.rate * mean[i] / (std::sqrt(square[i]) * f.inverse_root + f.epsilon);
    }
}

namespace {

class Adam final : public Optimizer {
   public:
    Adam(double beta1, double beta2, double epsilon, bool decoupled)
        : beta1_(beta1), beta2_(beta2), epsilon_(epsilon), decoupled_(decoupled) {}

    std::vector<std::string> slot_names() const override { return {"first_moment", "second_moment"}; }

    void update(const UpdateStep& step, std::span<real> value, std::span<const real> gradient,
                const std::vector<std::span<real>>& state) const override {
        const auto t = static_cast<double>(step.number);
        AdamFactors factors{};
        factors.beta1 = static_cast<real>(beta1_);
        factors.beta2 = static_cast<real>(beta2_);
        factors.epsilon = static_cast<real>(epsilon_);
        factors.rate = static_cast<real>(step.learning_rate / (1 - std::pow(beta1_, t)));
        factors.inverse_root = static_cast<real>(1 / std::sqrt(1 - std::pow(beta2_, t)));
        factors.scale = static_cast<real>(step.gradient_scale);
        factors.decay_gradient = decoupled_ ? real{0} : static_cast<real>(step.weight_decay);
        factors.keep = decoupled_ ? static_cast<real>(1 - step.learning_rate * step.weight_decay) : real{1};
        adam_update(value, gradient, state[0].data(), state[1].data(), factors);
    }

   private:
    double beta1_, beta2_, epsilon_;
    bool decoupled_;
};

std::unique_ptr<Optimizer> make(const Config& config, bool decoupled) {
    const Range fraction = from_up_to_below(0, 1);
    const double beta1 = config.number("beta1", 0.9, fraction, "decay of the first moment, the mean gradient");
    const double beta2 =
        config.number("beta2", 0.999, fraction, "decay of the second moment, the mean squared gradient");
    const double epsilon =
        config.number("epsilon", 1e-8, above(0), "added to the root of the second moment for numerical stability");
    return std::make_unique<Adam>(beta1, beta2, epsilon, decoupled);
}

}  // namespace

std::unique_ptr<Optimizer> make_adam(const Config& config) { return make(config, false); }
std::unique_ptr<Optimizer> make_adamw(const Config& config) { return make(config, true); }

}  // namespace pruntrain
