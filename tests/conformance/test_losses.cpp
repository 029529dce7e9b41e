// Every registered loss: its gradient is the derivative of its value. Central differences in double, h = 1e-6: they err
// by h^2 and by 2^-53 |loss| / h, below 1e-9 here; the tolerance is 1e-8. A loss without a sample fails.
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "../support/layer_bench.hpp"
#include "pruntrain/model/loss.hpp"

using namespace pruntrain;

namespace {

struct Sample {
    index_t outputs;
    index_t target_width;
};

const std::map<std::string, std::vector<Sample>> samples{
    {"binary_cross_entropy", {{1, 1}}},
    {"cross_entropy", {{2, 1}, {7, 1}, {4, 4}}},
    {"mean_squared_error", {{1, 1}, {4, 4}, {5, 1}}},
};

}  // namespace

TEST_CASE("losses: the gradient is a central difference, 0 in padding lanes and summed over ranks") {
    constexpr double h = 1e-6, tolerance = 1e-8;
    for (const auto& type : losses().names()) {
        INFO(type);
        const auto found = samples.find(type);
        const bool has_sample = found != samples.end();
        CHECK_MESSAGE(has_sample, "write a sample for loss ", type);
        if (!has_sample) continue;
        const auto loss = losses().find(type)(config_of("{}"));
        for (const auto& [outputs, target_width] : found->second)
            for (const auto& tiling : std::vector<Tiling>{{0, 8}, {1, 8}, {13, 8}, {16, 16}, {40, 32}}) {
                loss->check(outputs, target_width);
                auto y = random_numbers(tiling.size(outputs), 1);
                const RandomStream random(1, Purpose::test, 2);
                std::vector<float> targets;
                for (index_t i = 0; i < tiling.samples * target_width; ++i)
                    targets.push_back(
                        loss->classifies(outputs, target_width)
                            ? static_cast<float>(random.bits(static_cast<std::uint64_t>(i))[0] % loss->classes(outputs))
                            : static_cast<float>(random.normal(static_cast<std::uint64_t>(i))));
                const index_t global_samples = tiling.samples + 3;  // the others are on other ranks
                const auto mean = [&](real* gradient) {
                    const auto sums = loss->evaluate(tiling, outputs, y.data(), targets.data(), target_width,
                                                     global_samples, gradient);
                    return sums.loss / static_cast<double>(global_samples);
                };
                std::vector<real> gradient(y.size(), real{99});
                mean(gradient.data());
                for (std::size_t i = 0; i < y.size(); ++i) {
                    const real before = y[i];
                    y[i] = before + h;
                    const double above = mean(nullptr);
                    y[i] = before - h;
                    const double below = mean(nullptr);
                    y[i] = before;
                    CHECK(std::abs(gradient[i] - (above - below) / (2 * h)) <= tolerance);
                }
                for (index_t s = tiling.samples; s < tiling.tiles() * tiling.width; ++s)
                    for (index_t o = 0; o < outputs; ++o) CHECK(gradient[place_of(tiling, outputs, o, s)] == 0);
            }
    }
}
