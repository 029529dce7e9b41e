// |w| (Han et al. 2015). L1 and L2 norm of a single weight give one order, so both are |w|: squaring first could make
// equals of small weights that differ.
#include <cmath>

#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

class Magnitude final : public Criterion {
    std::vector<real> scores(const Parameter& parameter) const override {
        std::vector<real> all(parameter.value.size());
        for (std::size_t k = 0; k < all.size(); ++k) all[k] = std::abs(parameter.value[k]);
        return all;
    }

    Traits traits() const override { return {}; }
    std::string describe() const override { return "magnitude"; }
};

}  // namespace

std::unique_ptr<Criterion> make_magnitude(const Config& config, std::uint64_t) {
    config.choice("norm", "l1", {"l1", "l2"}, "norm of a weight; both give the same order for single weights");
    return std::make_unique<Magnitude>();
}

}  // namespace pruntrain
