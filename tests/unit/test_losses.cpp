// Losses against their formulas, sample by sample.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "../support/layer_bench.hpp"
#include "pruntrain/model/loss.hpp"

using namespace pruntrain;

namespace {

std::unique_ptr<Loss> make_loss(const std::string& type) { return losses().find(type)(config_of("{}")); }

std::vector<float> classes_of(index_t samples, index_t classes) {
    const RandomStream random(1, Purpose::test, 77);
    std::vector<float> targets;
    for (index_t s = 0; s < samples; ++s)
        targets.push_back(static_cast<float>(random.bits(static_cast<std::uint64_t>(s))[0] % classes));
    return targets;
}

struct Expected {
    LossSums sums;
    std::vector<double> gradient;  // (sample, output)
};

/// The plain formulas, without care for overflow.
Expected cross_entropy_twin(const Tiling& tiling, index_t outputs, const std::vector<real>& z,
                            const std::vector<float>& targets, index_t global_samples) {
    Expected expected;
    for (index_t s = 0; s < tiling.samples; ++s) {
        double sum = 0;
        index_t best = 0;
        const auto at = [&](index_t o) { return static_cast<double>(z[place_of(tiling, outputs, o, s)]); };
        for (index_t o = 0; o < outputs; ++o) {
            sum += std::exp(at(o));
            if (at(o) > at(best)) best = o;
        }
        const auto target = static_cast<index_t>(targets[static_cast<std::size_t>(s)]);
        expected.sums.loss -= std::log(std::exp(at(target)) / sum);
        expected.sums.correct += best == target ? 1 : 0;
        for (index_t o = 0; o < outputs; ++o)
            expected.gradient.push_back((std::exp(at(o)) / sum - (o == target)) / static_cast<double>(global_samples));
    }
    return expected;
}

Expected squared_error_twin(const Tiling& tiling, index_t outputs, const std::vector<real>& y,
                            const std::vector<float>& targets, index_t target_width, index_t global_samples) {
    Expected expected;
    const bool classes = target_width == 1 && outputs > 1;
    for (index_t s = 0; s < tiling.samples; ++s) {
        index_t best = 0;
        const auto at = [&](index_t o) { return static_cast<double>(y[place_of(tiling, outputs, o, s)]); };
        for (index_t o = 0; o < outputs; ++o) {
            const double target = classes ? (targets[s] == o) : targets[s * target_width + o];
            const double difference = at(o) - target;
            expected.sums.loss += difference * difference / static_cast<double>(outputs);
            expected.gradient.push_back(2 * difference / static_cast<double>(outputs * global_samples));
            if (at(o) > at(best)) best = o;
        }
        expected.sums.correct += classes && targets[s] == best ? 1 : 0;
    }
    return expected;
}

/// Evaluates apart, in place and without gradient, and compares. Outputs are of order 1: float rounding of exp, of the
/// sum and of the results stays below 1e-6.
void check_against(const Loss& loss, const Expected& expected, const Tiling& tiling, index_t outputs,
                   const std::vector<real>& y, const std::vector<float>& targets, index_t width, index_t global) {
    std::vector<real> gradient(y.size(), real{99}), in_place = y;
    const auto sums = loss.evaluate(tiling, outputs, y.data(), targets.data(), width, global, gradient.data());
    const auto again = loss.evaluate(tiling, outputs, in_place.data(), targets.data(), width, global, in_place.data());
    const auto alone = loss.evaluate(tiling, outputs, y.data(), targets.data(), width, global, nullptr);
    CHECK(std::abs(sums.loss - expected.sums.loss) <= 1e-6 * static_cast<double>(tiling.samples) * outputs);
    CHECK(sums.correct == expected.sums.correct);
    CHECK((again.loss == sums.loss && again.correct == sums.correct));
    CHECK((alone.loss == sums.loss && alone.correct == sums.correct));
    CHECK(in_place == gradient);
    for (index_t s = 0; s < tiling.tiles() * tiling.width; ++s)
        for (index_t o = 0; o < outputs; ++o) {
            const double wanted = s < tiling.samples ? expected.gradient[static_cast<std::size_t>(s * outputs + o)] : 0;
            const double got = gradient[place_of(tiling, outputs, o, s)];
            CHECK(std::abs(got - wanted) <= (s < tiling.samples ? 1e-6 : 0));
        }
}

const std::vector<Tiling> tilings{{0, 8}, {1, 8}, {8, 8}, {21, 16}, {64, 64}, {70, 64}};

}  // namespace

TEST_CASE("cross_entropy: loss, hits and gradient by the formula") {
    const auto loss = make_loss("cross_entropy");
    for (const auto& tiling : tilings)
        for (const index_t outputs : {2, 10, 33}) {
            const auto z = random_numbers(tiling.size(outputs), 1);
            const auto targets = classes_of(tiling.samples, outputs);
            const index_t global = 3 * tiling.samples + 1;
            check_against(*loss, cross_entropy_twin(tiling, outputs, z, targets, global), tiling, outputs, z, targets,
                          1, global);
        }
}

TEST_CASE("mean_squared_error: regression and classes by the formula") {
    const auto loss = make_loss("mean_squared_error");
    for (const auto& tiling : tilings)
        for (const index_t outputs : {1, 2, 10}) {
            const auto y = random_numbers(tiling.size(outputs), 2);
            const index_t global = 2 * tiling.samples + 5;
            const auto numbers = random_numbers(tiling.samples * outputs, 3);
            const std::vector<float> regression(numbers.begin(), numbers.end());
            check_against(*loss, squared_error_twin(tiling, outputs, y, regression, outputs, global), tiling, outputs,
                          y, regression, outputs, global);
            const auto classes = classes_of(tiling.samples, outputs);
            check_against(*loss, squared_error_twin(tiling, outputs, y, classes, 1, global), tiling, outputs, y,
                          classes, 1, global);
        }
}

TEST_CASE("cross_entropy: probabilities of one class are a label, others by the formula") {
    const auto loss = make_loss("cross_entropy");
    for (const auto& tiling : tilings)
        for (const index_t outputs : {2, 5}) {
            const auto z = random_numbers(tiling.size(outputs), 5);
            const auto labels = classes_of(tiling.samples, outputs);
            std::vector<float> soft(static_cast<std::size_t>(tiling.samples * outputs),
                                    0.25F / static_cast<float>(outputs));
            for (index_t s = 0; s < tiling.samples; ++s)
                soft[static_cast<std::size_t>(s * outputs) + static_cast<std::size_t>(labels[s])] += 0.75F;
            // Both are linear in the targets: 0.75 of the label, 0.25 of the mean over all labels.
            Expected expected = cross_entropy_twin(tiling, outputs, z, labels, 7);
            expected.sums = {0.75 * expected.sums.loss, 0};
            for (double& value : expected.gradient) value *= 0.75;
            for (index_t o = 0; o < outputs; ++o) {
                const std::vector<float> same(labels.size(), static_cast<float>(o));
                const Expected of_label = cross_entropy_twin(tiling, outputs, z, same, 7);
                const double share = 0.25 / static_cast<double>(outputs);
                expected.sums.loss += share * of_label.sums.loss;
                for (std::size_t i = 0; i < expected.gradient.size(); ++i)
                    expected.gradient[i] += share * of_label.gradient[i];
            }
            check_against(*loss, expected, tiling, outputs, z, soft, outputs, 7);
        }
}

TEST_CASE("binary_cross_entropy: by the formula, and by PyTorch's BCEWithLogitsLoss") {
    const auto loss = make_loss("binary_cross_entropy");
    for (const auto& tiling : tilings) {
        const auto z = random_numbers(tiling.size(1), 6);
        const auto labels = classes_of(tiling.samples, 2);
        Expected expected;
        for (std::size_t s = 0; s < labels.size(); ++s) {
            const double p = 1 / (1 + std::exp(-static_cast<double>(z[s])));
            expected.sums.loss -= std::log(labels[s] == 1 ? p : 1 - p);
            expected.sums.correct += (z[s] > 0) == (labels[s] == 1) ? 1 : 0;
            expected.gradient.push_back((p - static_cast<double>(labels[s])) / 9);
        }
        check_against(*loss, expected, tiling, 1, z, labels, 1, 9);
    }
    // torch.nn.BCEWithLogitsLoss(reduction="sum")(torch.tensor([-2., -.5, 0, .25, 3, 60, -60, -40], dtype=float64), ..)
    const std::vector<real> z{-2, -0.5, 0, 0.25, 3, 60, -60, -40};
    std::vector<real> gradient(8);
    const std::vector<float> labels{0, 1, 1, 0, 1, 1, 0, 1};
    const auto sums = loss->evaluate({8, 8}, 1, z.data(), labels.data(), 1, 1, gradient.data());
    CHECK(sums.loss == doctest::Approx(42.66867894723561).epsilon(1e-12));
    CHECK(sums.correct == 4);
    const std::vector<double> of_torch{0.11920292202211755,
                                       -0.6224593312018546,
                                       -0.5,
                                       0.5621765008857981,
                                       -0.047425873177566635,
                                       0.0,
                                       8.75651076269652e-27,
                                       -1.0};
    for (std::size_t i = 0; i < of_torch.size(); ++i)
        CHECK(static_cast<double>(gradient[i]) == doctest::Approx(of_torch[i]).epsilon(1e-6));
}

TEST_CASE("cross_entropy: outputs of any finite size give a finite loss") {
    const auto loss = make_loss("cross_entropy");
    const Tiling tiling{2, 8};
    std::vector<real> z(16, real{0});
    z[0] = 3e37f;   // sample 0, output 0
    z[9] = -3e37f;  // sample 1, output 1
    std::vector<real> gradient(16);
    const std::vector<float> targets{0, 0};
    const auto sums = loss->evaluate(tiling, 2, z.data(), targets.data(), 1, 2, gradient.data());
    CHECK(sums.loss == 0);
    CHECK(sums.correct == 2);
    for (const real value : gradient) CHECK(value == 0);
}

TEST_CASE("cross_entropy: the gradient of a class that is all but certain does not vanish") {
    const auto loss = make_loss("cross_entropy");
    const Tiling tiling{1, 8};
    std::vector<real> z(16, real{0}), gradient(16);
    z[8] = -20;  // output 1; 1 - probability of output 0 is exp(-20), below the spacing of floats at 1
    const std::vector<float> targets{0};
    loss->evaluate(tiling, 2, z.data(), targets.data(), 1, 1, gradient.data());
    const double rest = std::exp(-20.0) / (1 + std::exp(-20.0));
    CHECK(gradient[0] == doctest::Approx(-rest).epsilon(1e-6));  // a few roundings of float, and of 1 + exp in double
    CHECK(gradient[8] == doctest::Approx(rest).epsilon(1e-6));
}

TEST_CASE("losses: no infinite or undefined output is hidden; padding lanes do not matter") {
    for (const auto& name : losses().names()) {
        INFO(name);
        const auto loss = make_loss(name);
        const Tiling tiling{9, 8};
        const index_t outputs = name == "binary_cross_entropy" ? 1 : 4;
        const auto targets = classes_of(tiling.samples, loss->classes(outputs));
        using Limits = std::numeric_limits<real>;
        for (const real bad : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()}) {
            auto z = random_numbers(tiling.size(outputs), 4);
            fill_padding(tiling, outputs, bad, z);
            const auto clean = loss->evaluate(tiling, outputs, z.data(), targets.data(), 1, 9, nullptr);
            CHECK(std::isfinite(clean.loss));
            for (index_t sample = 0; sample < tiling.samples; ++sample)
                for (index_t o = 0; o < outputs; ++o) {
                    auto one_bad = z;
                    one_bad[place_of(tiling, outputs, o, sample)] = bad;
                    const auto sums = loss->evaluate(tiling, outputs, one_bad.data(), targets.data(), 1, 9, nullptr);
                    CHECK_FALSE(std::isfinite(sums.loss));
                }
        }
    }
}

TEST_CASE("losses: of equal largest outputs the first is the answer") {
    for (const std::string name : {"cross_entropy", "mean_squared_error"}) {
        const auto loss = make_loss(name);
        const Tiling tiling{2, 8};
        const std::vector<real> z(static_cast<std::size_t>(tiling.size(3)), real{0.5});
        const std::vector<float> targets{0, 1};
        CHECK(loss->evaluate(tiling, 3, z.data(), targets.data(), 1, 2, nullptr).correct == 1);
    }
}

TEST_CASE("losses: outputs and targets that do not fit are refused") {
    const auto cross_entropy = make_loss("cross_entropy"), squares = make_loss("mean_squared_error");
    CHECK_NOTHROW(cross_entropy->check(2, 1));
    CHECK_THROWS_WITH_AS(cross_entropy->check(5, 3),
                         "loss cross_entropy needs one class label per sample, or a probability for each of the 5 "
                         "outputs, but the data has targets of 3 values: change the last layer, or use "
                         "mean_squared_error; if one column has the class labels, set data.label_column to its index "
                         "from 0, or in tables data.target to its name",
                         InputError);
    CHECK_THROWS_WITH_AS(cross_entropy->check(1, 1),
                         "loss cross_entropy needs one output per class, at least 2, but the model has 1: change "
                         "the last layer, or use binary_cross_entropy for two classes",
                         InputError);
    CHECK_NOTHROW(squares->check(5, 5));
    CHECK_NOTHROW(squares->check(5, 1));
    CHECK_THROWS_WITH_AS(
        squares->check(5, 3),
        "loss mean_squared_error cannot compare 5 outputs with targets of 3 values: give the last layer 3 "
        "outputs, or use one column of the targets (data.label_column, or in tables data.target)",
        InputError);
    CHECK(cross_entropy->classifies(5, 1));
    CHECK_FALSE(cross_entropy->classifies(5, 5));
    CHECK(cross_entropy->takes_probabilities(5, 5));
    CHECK_FALSE(squares->takes_probabilities(5, 5));
    const auto binary = make_loss("binary_cross_entropy");
    CHECK(binary->classes(1) == 2);
    CHECK_THROWS_WITH_AS(binary->check(2, 1), doctest::Contains("needs a network with one output"), InputError);
    CHECK_THROWS_WITH_AS(binary->check(1, 2), doctest::Contains("needs one label per sample"), InputError);
    CHECK(squares->classifies(5, 1));
    CHECK_FALSE(squares->classifies(1, 1));
    CHECK_FALSE(squares->classifies(5, 5));
}
