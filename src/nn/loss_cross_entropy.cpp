// Softmax and cross entropy of a sample with outputs z and class t:
//     loss = log(sum over o of exp(z[o])) - z[t],   dz[o] = (exp(z[o]) / sum - [o == t]) / global_samples,
// with the largest output subtracted from all first, so that no exp overflows.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "pruntrain/nn/loss.hpp"

namespace pruntrain {

namespace {

class CrossEntropy final : public Loss {
   public:
    LossSums evaluate(const Tiling& tiling, index_t outputs, const real* z, const float* targets, index_t,
                      index_t global_samples, real* gradient) const override {
        const index_t width = tiling.width;
        const double factor = 1 / static_cast<double>(global_samples);
        std::vector<real> largest(static_cast<std::size_t>(width));
        std::vector<double> sum(largest.size());
        std::vector<index_t> best(largest.size());
        std::vector<std::uint8_t> finite(largest.size());
        LossSums sums;
        for (index_t tile = 0; tile < tiling.tiles(); ++tile) {
            const index_t lanes = tiling.lanes(tile);
            const real* const z_tile = z + tile * outputs * width;
            std::fill(largest.begin(), largest.end(), -std::numeric_limits<real>::infinity());
            std::fill(best.begin(), best.end(), 0);
            std::fill(finite.begin(), finite.end(), 1);
            std::fill(sum.begin(), sum.end(), 0.0);
            for (index_t o = 0; o < outputs; ++o)
                for (index_t lane = 0; lane < lanes; ++lane) {
                    const real one = z_tile[o * width + lane];
                    finite[lane] &= std::isfinite(one) ? 1 : 0;
                    best[lane] = one > largest[lane] ? o : best[lane];
                    largest[lane] = std::max(largest[lane], one);
                }
            for (index_t o = 0; o < outputs; ++o)
                for (index_t lane = 0; lane < lanes; ++lane)
                    sum[lane] += std::exp(z_tile[o * width + lane] - largest[lane]);
            for (index_t lane = 0; lane < lanes; ++lane) {
                const auto target = static_cast<index_t>(targets[tile * width + lane]);
                // An output of minus infinity would vanish in the sum and hide that the network has diverged.
                sums.loss += finite[lane] ? std::log(sum[lane]) + largest[lane] - z_tile[target * width + lane]
                                          : std::numeric_limits<double>::quiet_NaN();
                if (best[lane] == target) ++sums.correct;
            }
            if (gradient == nullptr) continue;
            real* const g_tile = gradient + tile * outputs * width;
            for (index_t o = 0; o < outputs; ++o) {
                for (index_t lane = 0; lane < lanes; ++lane) {
                    const auto target = static_cast<index_t>(targets[tile * width + lane]);
                    const double probability = std::exp(z_tile[o * width + lane] - largest[lane]) / sum[lane];
                    g_tile[o * width + lane] = static_cast<real>(factor * (probability - (o == target ? 1 : 0)));
                }
                for (index_t lane = lanes; lane < width; ++lane) g_tile[o * width + lane] = 0;
            }
        }
        return sums;
    }

    void check(index_t outputs, index_t target_width) const override {
        if (target_width != 1)
            input_error("loss cross_entropy compares with one class number a sample, but the data have targets of ",
                        target_width, " numbers: use mean_squared_error");
        if (outputs < 2)
            input_error("loss cross_entropy needs one output for each class, at least 2, but the model has ", outputs,
                        ": change the last layer");
    }

    bool classifies(index_t, index_t) const override { return true; }
};

}  // namespace

std::unique_ptr<Loss> make_cross_entropy(const Config&) { return std::make_unique<CrossEntropy>(); }

}  // namespace pruntrain
