// w (H g)_w, g the gradient of the loss of a global batch and H its second derivatives (Wang et al. 2020, "Picking
// winning tickets before training by preserving gradient flow", equation 8). Training lowers the loss at the rate g^T
// g; a change d of the weights changes that by 2 d^T H g to first order, so removing w, d = -w, changes it by -2 w (H
// g)_w: what has the lowest w (H g)_w goes, since then gradients become larger, or lose least. The paper's S is -w (H
// g)_w, and the highest go. The outputs are divided by a temperature ahead of the loss, 200 in the reference code.
#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

class Grasp final : public Criterion {
   public:
    explicit Grasp(double temperature) : temperature_(temperature) {}

   private:
    ScoreInput score_input() const override { return ScoreInput::change; }
    bool is_signed() const override { return true; }
    double temperature() const override { return temperature_; }

    std::vector<real> scores(const Parameter& parameter) const override {
        std::vector<real> all(parameter.value.size());
        for (std::size_t k = 0; k < all.size(); ++k) all[k] = parameter.value[k] * parameter.gradient[k];
        return all;
    }

    std::string describe() const override { return "GraSP"; }

    double temperature_;
};

}  // namespace

std::unique_ptr<Criterion> make_grasp(const Config& config, std::uint64_t) {
    return std::make_unique<Grasp>(
        config.number("temperature", 1.0, above(0), "the network's outputs are divided by it ahead of the loss"));
}

}  // namespace pruntrain
