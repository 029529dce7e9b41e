// Mean squared error of a sample with M outputs y and targets t:
//     loss = 1/M sum over o of (y[o] - t[o])^2,   dy[o] = 2 (y[o] - t[o]) / (M global_samples).
// Targets of M values are a regression. One value for several outputs is a class: t[o] is 1 for it, 0 elsewhere.
#include <algorithm>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "pruntrain/model/loss.hpp"

namespace pruntrain {

namespace {

class MeanSquaredError final : public Loss {
   public:
    LossSums evaluate(const Tiling& tiling, index_t outputs, const real* y, const float* targets, index_t target_width,
                      index_t global_samples, real* gradient) const override {
        const index_t width = tiling.width;
        const bool classes = classifies(outputs, target_width);
        const double factor = 2 / static_cast<double>(outputs * global_samples);
        std::vector<real> largest(width);
        std::vector<index_t> best(largest.size());
        LossSums sums;
        double squares = 0;
        for (index_t tile = 0; tile < tiling.tiles(); ++tile) {
            const float* const tile_targets = targets + tile * width * target_width;
            for (index_t o = 0; o < outputs; ++o) {
                const index_t begin = (tile * outputs + o) * width;
                for (index_t lane = 0; lane < tiling.lanes(tile); ++lane) {
                    const real one = y[begin + lane];
                    if (o == 0 || one > largest[lane]) {
                        largest[lane] = one;
                        best[lane] = o;
                    }
                    const double target = classes ? (static_cast<index_t>(tile_targets[lane]) == o ? 1 : 0)
                                                  : tile_targets[lane * target_width + o];
                    const double difference = one - target;
                    squares += difference * difference;
                    if (gradient != nullptr) gradient[begin + lane] = static_cast<real>(factor * difference);
                }
                if (gradient != nullptr) std::fill(gradient + begin + tiling.lanes(tile), gradient + begin + width, 0);
            }
            if (!classes) continue;
            for (index_t lane = 0; lane < tiling.lanes(tile); ++lane)
                if (best[lane] == static_cast<index_t>(tile_targets[lane])) ++sums.correct;
        }
        sums.loss = squares / static_cast<double>(outputs);
        return sums;
    }

    void check(index_t outputs, index_t target_width) const override {
        if (target_width != 1 && target_width != outputs)
            input_error("loss mean_squared_error cannot compare ", outputs, " outputs with targets of ", target_width,
                        " values: give the last layer ", target_width, " outputs, or use one column of the targets ",
                        "(data.label_column, or in tables data.target)");
    }

    bool classifies(index_t outputs, index_t target_width) const override { return target_width == 1 && outputs > 1; }
};

}  // namespace

std::unique_ptr<Loss> make_mean_squared_error(const Config&) { return std::make_unique<MeanSquaredError>(); }

}  // namespace pruntrain
