// Cross entropy of two classes with one output z and class t, 0 or 1. sigmoid(z) is the probability of class 1:
//     loss = log(1 + exp(-|z|)) + max(z, 0) - z t,   dz = (sigmoid(z) - t) / global_samples.
#include <algorithm>
#include <cmath>

#include "pruntrain/base/error.hpp"
#include "pruntrain/model/loss.hpp"

namespace pruntrain {

namespace {

class BinaryCrossEntropy final : public Loss {
   public:
    LossSums evaluate(const Tiling& tiling, index_t, const real* z, const float* targets, index_t,
                      index_t global_samples, real* gradient) const override {
        const double factor = 1 / static_cast<double>(global_samples);
        LossSums sums;
        for (index_t sample = 0; sample < tiling.samples; ++sample) {
            const auto output = static_cast<double>(z[sample]);
            const double toward = targets[sample] == 1 ? output : -output;  // positive: the answer is correct
            const double power = std::exp(-std::abs(output));
            // x - x: an infinite output on the correct side would hide a diverged network.
            sums.loss += std::log1p(power) + std::max(-toward, 0.0) + (output - output);
            if ((output > 0) == (targets[sample] == 1)) ++sums.correct;
            if (gradient == nullptr) continue;
            const double miss = (toward > 0 ? power : 1.0) / (1 + power);  // 1 - probability of the correct class
            gradient[sample] = static_cast<real>(targets[sample] == 1 ? -miss * factor : miss * factor);
        }
        if (gradient != nullptr) std::fill(gradient + tiling.samples, gradient + tiling.size(1), real{0});
        return sums;
    }

    void check(index_t outputs, index_t target_width) const override {
        if (outputs != 1)
            input_error("loss binary_cross_entropy needs a network with one output, but the model has ", outputs,
                        ": give the last layer 1 output, or use cross_entropy");
        if (target_width != 1)
            input_error("loss binary_cross_entropy needs one label per sample, 0 or 1, but the data has targets of ",
                        target_width,
                        " values: use cross_entropy or mean_squared_error; if one column has the labels, set "
                        "data.label_column to its index from 0, or in tables data.target to its name");
    }

    bool classifies(index_t, index_t) const override { return true; }
    index_t classes(index_t) const override { return 2; }
};

}  // namespace

std::unique_ptr<Loss> make_binary_cross_entropy(const Config&) { return std::make_unique<BinaryCrossEntropy>(); }

}  // namespace pruntrain
