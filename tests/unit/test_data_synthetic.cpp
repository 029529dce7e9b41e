#include <doctest/doctest.h>

#include <cmath>

#include "../support/data_files.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

TEST_CASE("synthetic: a sample depends on seed and number alone") {
    const std::string keys = "format: synthetic, shape: [2, 3, 4], ";
    const Samples few = read_part(keys + "samples: 50"), many = read_part(keys + "samples: 200");
    CHECK(few.header.shape == Shape{2, 3, 4});
    CHECK(few.header.samples == 50);
    CHECK(std::equal(few.features.begin(), few.features.end(), many.features.begin()));
    CHECK(std::equal(few.targets.begin(), few.targets.end(), many.targets.begin()));
    CHECK(read_part(keys + "samples: 50, seed: 1").features != few.features);
}

TEST_CASE("synthetic: normal inputs, balanced classes") {
    constexpr double count = 20000;
    const Samples samples = read_part("format: synthetic, samples: 20000, shape: 16, classes: 4");
    double sum = 0, square = 0;
    for (const float x : samples.features) {
        sum += x;
        square += double{x} * x;
    }
    const double numbers = 16 * count;
    CHECK(std::abs(sum / numbers) < 5 / std::sqrt(numbers));             // five deviations of the mean
    CHECK(std::abs(square / numbers - 1) < 5 * std::sqrt(2 / numbers));  // and of the variance
    std::vector<int> counts(4);
    for (const float label : samples.targets) ++counts[static_cast<std::size_t>(label)];
    for (const int of_class : counts) {  // a fair share is a quarter; the teacher only roughly balances
        CHECK(of_class > count / 10);
        CHECK(of_class < count / 2);
    }
}

TEST_CASE("synthetic: noise replaces that fraction of the labels") {
    constexpr double count = 20000;
    const std::string keys = "format: synthetic, samples: 20000, shape: 8, classes: 5";
    const Samples clean = read_part(keys), noisy = read_part(keys + ", noise: 0.4");
    CHECK(noisy.features == clean.features);
    int changed = 0;
    for (std::size_t i = 0; i < clean.targets.size(); ++i) {
        changed += clean.targets[i] != noisy.targets[i];
        CHECK((noisy.targets[i] >= 0 && noisy.targets[i] < 5));
    }
    const double expected = 0.4 * 4 / 5;  // a label drawn at random is right for one class of five
    CHECK(std::abs(changed / count - expected) < 5 * std::sqrt(expected * (1 - expected) / count));
}

TEST_CASE("synthetic: has no test part and refuses what makes no sense") {
    CHECK(data_formats().find("synthetic")(data_section("samples: 10"), {})->open(Part::test) == nullptr);
    const auto error_of = [](const std::string& keys) {
        return input_error_of([&] { read_part("format: synthetic, " + keys); });
    };
    CHECK(contains(error_of("classes: 1"), "data.classes"));
    CHECK(contains(error_of("noise: 1.5"), "data.noise"));
    CHECK(contains(error_of("samples: 0"), "data.samples"));
    CHECK(contains(error_of("shape: [3, 3]"), "[features] or [channels, rows, columns]"));
}
