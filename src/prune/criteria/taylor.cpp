// |g w| with the gradient g of the loss of one global batch: to first order, the change of the loss if the weight is
// removed (Molchanov et al. 2017). Before training, it is SNIP's connection sensitivity (Lee et al. 2019), whose
// division by the sum over all weights changes no order. The absolute value is taken after the sum over all ranks.
#include <cmath>

#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

class Taylor final : public Criterion {
   public:
    explicit Taylor(std::string name) : name_(std::move(name)) {}

    const ScoreInput* score_input() const override { return &loss_gradient(); }

    std::vector<real> scores(const Parameter& parameter) const override {
        std::vector<real> all(parameter.value.size());
        for (std::size_t k = 0; k < all.size(); ++k) all[k] = std::abs(parameter.gradient[k] * parameter.value[k]);
        return all;
    }

    Traits traits() const override { return {}; }
    std::string describe() const override { return name_; }

   private:
    std::string name_;
};

}  // namespace

std::unique_ptr<Criterion> make_taylor(const Config&, std::uint64_t) { return std::make_unique<Taylor>("taylor"); }
std::unique_ptr<Criterion> make_snip(const Config&, std::uint64_t) { return std::make_unique<Taylor>("SNIP"); }

}  // namespace pruntrain
