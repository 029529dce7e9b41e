// Softmax and cross entropy of a sample with outputs z and class t:
//     loss = log(sum over o of exp(z[o])) - z[t],   dz[o] = (exp(z[o]) / sum - [o == t]) / global_samples,
// after subtracting the largest output, so that exp does not overflow. Targets of one value per output are
// probabilities p, with the sum 1: loss = log(sum over o of exp(z[o])) - sum over o of p[o] z[o].
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "pruntrain/model/loss.hpp"

namespace pruntrain {

namespace {

template <class T>
using Lanes = std::array<T, widest_tile>;  // one per sample of a tile

/// The maximum of each sample's outputs z (outputs, T).
struct Largest {
    Lanes<real> value;
    Lanes<std::int32_t> output;  ///< index of the first maximum
    Lanes<real> defect;          ///< 0, or NaN if an output is infinite or NaN
};

PRUNTRAIN_VECTORIZED
void find_largest(index_t outputs, index_t width, const real* z, Largest& result) {
    Largest found;
    for (index_t lane = 0; lane < width; ++lane) {
        found.value[lane] = -std::numeric_limits<real>::infinity();
        found.output[lane] = 0;
        found.defect[lane] = 0;
    }
    for (index_t o = 0; o < outputs; ++o)
        for (index_t lane = 0; lane < width; ++lane) {
            const real one = z[o * width + lane];
            const bool larger = one > found.value[lane];
            found.output[lane] = larger ? static_cast<std::int32_t>(o) : found.output[lane];
            found.value[lane] = larger ? one : found.value[lane];
            found.defect[lane] += one - one;
        }
    result = found;
}

/// gradient (outputs, T), which holds exp(z - largest), becomes dz of the first `lanes` samples, 0 for the others.
PRUNTRAIN_VECTORIZED
void finish_gradient(index_t outputs, index_t width, index_t lanes, const Lanes<double>& sum,
                     const Lanes<std::int32_t>& target, double factor, real* __restrict gradient) {
    Lanes<double> scale;
    for (index_t lane = 0; lane < lanes; ++lane) scale[lane] = factor / sum[lane];
    for (index_t o = 0; o < outputs; ++o, gradient += width) {
        for (index_t lane = 0; lane < lanes; ++lane)
            gradient[lane] = static_cast<real>(scale[lane] * gradient[lane] - (target[lane] == o ? factor : 0.0));
        for (index_t lane = lanes; lane < width; ++lane) gradient[lane] = 0;
    }
}

class CrossEntropy final : public Loss {
   public:
    LossSums evaluate(const Tiling& tiling, index_t outputs, const real* z, const float* targets, index_t target_width,
                      index_t global_samples, real* gradient) const override {
        if (target_width > 1) return of_probabilities(tiling, outputs, z, targets, global_samples, gradient);
        const index_t width = tiling.width;
        Largest largest;
        Lanes<std::int32_t> target;
        Lanes<double> target_output, sum;
        LossSums sums;
        for (index_t tile = 0; tile < tiling.tiles(); ++tile, z += outputs * width, targets += width) {
            const index_t lanes = tiling.lanes(tile);
            find_largest(outputs, width, z, largest);
            for (index_t lane = 0; lane < lanes; ++lane) {
                target[lane] = static_cast<std::int32_t>(targets[lane]);
                target_output[lane] = z[target[lane] * width + lane];  // now, because `gradient` may overwrite z
                sum[lane] = 0;
            }
            for (index_t o = 0; o < outputs; ++o)
                for (index_t lane = 0; lane < lanes; ++lane) {
                    const real power = std::exp(z[o * width + lane] - largest.value[lane]);
                    sum[lane] += power;
                    if (gradient != nullptr) gradient[o * width + lane] = power;
                }
            for (index_t lane = 0; lane < lanes; ++lane) {
                // An output of minus infinity would vanish in the sum and hide a diverged network.
                sums.loss += std::log(sum[lane]) + largest.value[lane] - target_output[lane] + largest.defect[lane];
                if (largest.output[lane] == target[lane]) ++sums.correct;
            }
            if (gradient == nullptr) continue;
            finish_gradient(outputs, width, lanes, sum, target, 1 / static_cast<double>(global_samples), gradient);
            gradient += outputs * width;
        }
        return sums;
    }

    void check(index_t outputs, index_t target_width) const override {
        if (target_width != 1 && target_width != outputs)
            input_error(
                "loss cross_entropy needs one class label per sample, or a probability for each of the ", outputs,
                " outputs, but the data has targets of ", target_width,
                " values: change the last layer, or use mean_squared_error; if one column has the class labels, set "
                "data.label_column to its index from 0, or in tables data.target to its name");
        if (outputs < 2)
            input_error("loss cross_entropy needs one output per class, at least 2, but the model has ", outputs,
                        ": change the last layer, or use binary_cross_entropy for two classes");
    }

    bool classifies(index_t, index_t target_width) const override { return target_width == 1; }
    bool takes_probabilities(index_t, index_t target_width) const override { return target_width > 1; }

   private:
    static LossSums of_probabilities(const Tiling& tiling, index_t outputs, const real* z, const float* targets,
                                     index_t global_samples, real* gradient) {
        std::vector<double> exponentials(outputs);
        LossSums sums;
        for (index_t sample = 0; sample < tiling.tiles() * tiling.width; ++sample) {
            const index_t first = sample / tiling.width * outputs * tiling.width + sample % tiling.width;
            const auto output = [&](index_t o) { return first + o * tiling.width; };
            if (sample >= tiling.samples) {
                for (index_t o = 0; gradient != nullptr && o < outputs; ++o) gradient[output(o)] = 0;
                continue;
            }
            const float* const p = targets + sample * outputs;
            double largest = -std::numeric_limits<double>::infinity(), sum = 0, defect = 0;
            for (index_t o = 0; o < outputs; ++o) largest = std::max(largest, static_cast<double>(z[output(o)]));
            for (index_t o = 0; o < outputs; ++o) {
                const auto one = static_cast<double>(z[output(o)]);
                sum += exponentials[o] = std::exp(one - largest);
                defect += one - one;
            }
            const double log_sum = std::log(sum) + largest + defect;
            double total = 0;
            for (index_t o = 0; o < outputs; ++o) {
                const auto probability = static_cast<double>(p[o]);
                sums.loss += probability * (log_sum - static_cast<double>(z[output(o)]));
                total += probability;
            }
            for (index_t o = 0; gradient != nullptr && o < outputs; ++o)
                gradient[output(o)] = static_cast<real>((total * exponentials[o] / sum - static_cast<double>(p[o])) /
                                                        static_cast<double>(global_samples));
        }
        return sums;
    }
};

}  // namespace

std::unique_ptr<Loss> make_cross_entropy(const Config&) { return std::make_unique<CrossEntropy>(); }

}  // namespace pruntrain
