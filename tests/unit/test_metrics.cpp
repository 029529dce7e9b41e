// Metrics of an evaluation against numbers counted by hand.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "../support/layer_bench.hpp"
#include "pruntrain/app/evaluation_text.hpp"
#include "pruntrain/train/metrics.hpp"

using namespace pruntrain;

namespace {

/// The outputs (sample, output) in tiles.
std::vector<real> tiled(const Tiling& tiling, index_t outputs, const std::vector<double>& values) {
    std::vector<real> result(static_cast<std::size_t>(tiling.size(outputs)), real{77});
    for (index_t s = 0; s < tiling.samples; ++s)
        for (index_t o = 0; o < outputs; ++o)
            result[place_of(tiling, outputs, o, s)] =
                static_cast<real>(values[static_cast<std::size_t>(s * outputs + o)]);
    return result;
}

}  // namespace

TEST_CASE("metrics: confusion matrix, precision, recall and F1") {
    const std::vector<float> actual{0, 0, 0, 1, 1, 0, 1, 1, 0, 0};
    const std::vector<index_t> answers{0, 0, 1, 1, 1, 2, 0, 1, 0, 2};
    std::vector<double> outputs;
    for (const index_t answer : answers)
        for (index_t o = 0; o < 3; ++o) outputs.push_back(o == answer ? 1 : -1);
    Metrics metrics(3, 3);
    const Tiling tiling{10, 8};
    metrics.add(tiling, tiled(tiling, 3, outputs).data(), actual.data());
    CHECK((metrics.count(0, 0) == 3 && metrics.count(0, 1) == 1 && metrics.count(0, 2) == 2));
    CHECK((metrics.count(1, 0) == 1 && metrics.count(1, 1) == 3 && metrics.count(1, 2) == 0));
    CHECK(metrics.precision(0) == 0.75);
    CHECK(metrics.recall(0) == 0.5);
    CHECK(metrics.f1(0) == 0.6);
    CHECK(metrics.recall(1) == 0.75);
    CHECK(metrics.precision(2) == 0);
    CHECK(std::isnan(metrics.recall(2)));
    CHECK(metrics.top_5() == 1);
    CHECK(confusion_csv(metrics, {"a", "b", "c"}) == "label,a,b,c\na,3,1,2\nb,1,3,0\nc,0,0,0\n");
    const std::string text = metrics_text(metrics, {"a", "b", "c"});
    CHECK(text.find("mean F1   0.4500") != std::string::npos);  // of 0.6, 0.75 and 0
    CHECK(text.find("top-5") == std::string::npos);
}

TEST_CASE("metrics: the five largest outputs, of equal ones the first") {
    Metrics metrics(10, 10);
    const Tiling tiling{3, 8};
    std::vector<double> outputs;
    for (int s = 0; s < 3; ++s)
        for (int o = 0; o < 10; ++o) outputs.push_back(s == 2 ? 0 : -o);
    const std::vector<float> actual{4, 5, 5};
    metrics.add(tiling, tiled(tiling, 10, outputs).data(), actual.data());
    CHECK(metrics.top_5() == doctest::Approx(1.0 / 3));
}

TEST_CASE("metrics: one output is the logit of class 1") {
    Metrics metrics(2, 1);
    const Tiling tiling{4, 8};
    const std::vector<float> actual{0, 1, 1, 0};
    metrics.add(tiling, tiled(tiling, 1, {-1, 2, -3, 0}).data(), actual.data());
    CHECK((metrics.count(0, 0) == 2 && metrics.count(1, 1) == 1 && metrics.count(1, 0) == 1));
}

TEST_CASE("metrics: R2 and mean absolute error of a regression") {
    Metrics metrics(0, 2);
    const Tiling tiling{4, 8};
    const std::vector<float> targets{1, 10, 2, 20, 3, 30, 4, 40};
    metrics.add(tiling, tiled(tiling, 2, {1, 10, 2, 25, 3, 30, 5, 35}).data(), targets.data());
    CHECK(metrics.r2() == doctest::Approx((1 - 1.0 / 5 + 1 - 50.0 / 500) / 2));
    CHECK(metrics.mean_absolute_error() == doctest::Approx((0.25 + 2.5) / 2));
}
