// Stochastic gradient descent with momentum, as in PyTorch: g += lambda w; v = mu v + g; w -= rate * v, or with
// Nesterov momentum w -= rate * (g + mu v) (Sutskever et al. 2013).
#include "pruntrain/optim/optimizer.hpp"

namespace pruntrain {

PRUNTRAIN_VECTORIZED
static void sgd_plain(std::span<real> value, std::span<const real> gradient, real rate, real decay, real scale) {
    for (std::size_t i = 0; i < value.size(); ++i) value[i] -= rate * (scale * gradient[i] + decay * value[i]);
}

PRUNTRAIN_VECTORIZED
static void sgd_momentum(std::span<real> value, std::span<const real> gradient, real* velocity, real rate, real decay,
                         real scale, real momentum, real look_ahead) {
    for (std::size_t i = 0; i < value.size(); ++i) {
        const real slope = scale * gradient[i] + decay * value[i];
        velocity[i] = momentum * velocity[i] + slope;
        value[i] -= rate * (look_ahead != 0 ? slope + momentum * velocity[i] : velocity[i]);
    }
}

namespace {

class Sgd final : public Optimizer {
   public:
    Sgd(double momentum, bool nesterov) : momentum_(momentum), nesterov_(nesterov) {}

    std::vector<std::string> slot_names() const override {
        if (momentum_ == 0) return {};
        return {"momentum"};
    }

    void update(const UpdateStep& step, std::span<real> value, std::span<const real> gradient,
                const std::vector<std::span<real>>& state) const override {
        const auto rate = static_cast<real>(step.learning_rate), decay = static_cast<real>(step.weight_decay);
        const auto scale = static_cast<real>(step.gradient_scale);
        if (momentum_ == 0) return sgd_plain(value, gradient, rate, decay, scale);
        sgd_momentum(value, gradient, state[0].data(), rate, decay, scale, static_cast<real>(momentum_),
                     nesterov_ ? real{1} : real{0});
    }

   private:
    double momentum_;
    bool nesterov_;
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(const Config& config) {
    const double momentum = config.number("momentum", 0.9, from_up_to_below(0, 1), "momentum coefficient; 0: none");
    const bool nesterov = config.flag("nesterov", false, "Nesterov momentum");
    if (nesterov && momentum == 0) input_error(config.place_of("nesterov"), " needs optimizer.momentum above 0");
    return std::make_unique<Sgd>(momentum, nesterov);
}

}  // namespace pruntrain
