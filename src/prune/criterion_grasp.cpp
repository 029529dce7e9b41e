// w (H g)_w, g the gradient of the loss of a global batch and H its second derivatives (Wang et al. 2020, "Picking
// winning tickets before training by preserving gradient flow", equation 8). Training lowers the loss at the rate g^T
// g; a change d of the weights changes that by 2 d^T H g to first order, so removing w, d = -w, changes it by -2 w (H
// g)_w: what has the lowest w (H g)_w goes, since then gradients become larger, or lose least. The paper's S is -w (H
// g)_w, and the highest go. Its temperature of the logits, 200 in the reference code, is left out: 1.
#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

class Grasp final : public Criterion {
    GradientOf gradient_of() const override { return GradientOf::change; }
    bool is_signed() const override { return true; }

    std::vector<real> scores(const Parameter& parameter) const override {
        std::vector<real> all(parameter.value.size());
        for (std::size_t k = 0; k < all.size(); ++k) all[k] = parameter.value[k] * parameter.gradient[k];
        return all;
    }

    std::string describe() const override { return "GraSP"; }
};

}  // namespace

std::unique_ptr<Criterion> make_grasp(const Config&, std::uint64_t) { return std::make_unique<Grasp>(); }

}  // namespace pruntrain
