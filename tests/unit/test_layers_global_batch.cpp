// Layers that know of the global batch, batch_norm and dropout: by their formulas, and alike for every split over
// ranks.
#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "../support/layer_bench.hpp"

using namespace pruntrain;

namespace {

/// Gives bench the samples first .. first + its count of a global batch of `global` samples.
void deal(LayerBench& bench, index_t first, index_t global, double mean) {
    const RandomStream random(9, Purpose::test);
    bench.step.first_sample = first;
    bench.step.global_samples = global;
    for (index_t s = 0; s < bench.step.tiling.samples; ++s) {
        for (index_t f = 0; f < bench.inputs(); ++f) {
            const auto index = static_cast<std::uint64_t>((first + s) * bench.inputs() + f);
            bench.x_of(f, s) = static_cast<real>(mean + (1 + 0.1 * static_cast<double>(f)) * random.normal(index));
            bench.dy_of(f, s) = static_cast<real>(random.normal(index + 1000000));
        }
    }
    fill_padding(bench.step.tiling, bench.inputs(), 77, bench.x);  // must not count
}

void set_parameters(LayerBench& bench) {
    auto parameters = bench.layer->parameters();
    for (std::size_t c = 0; c < parameters[0]->value.size(); ++c) {
        parameters[0]->value[c] = static_cast<real>(1.5 - 0.25 * static_cast<double>(c));
        parameters[1]->value[c] = static_cast<real>(0.5 * static_cast<double>(c));
    }
}

const std::vector<Shape> shapes{{5, 1, 1}, {3, 4, 2}};
// Values of order 1 to 10 in float: a few roundings of 2^-24 each, sums over up to 300 numbers in double.
constexpr double tolerance = 2e-5;

}  // namespace

TEST_CASE("batch_norm: training by the formulas") {
    for (const auto& shape : shapes)
        for (const auto& tiling : std::vector<Tiling>{{2, 8}, {13, 8}, {16, 16}, {37, 32}})
            for (const double mean : {0.0, 3.0}) {
                constexpr double epsilon = 1e-3, momentum = 0.25;
                LayerBench bench("{layer: batch_norm, epsilon: 1e-3, momentum: 0.25}", shape, tiling);
                deal(bench, 0, tiling.samples, mean);
                set_parameters(bench);
                std::fill(bench.dx.begin(), bench.dx.end(), real{99});
                bench.forward();
                bench.backward();
                const auto parameters = bench.layer->parameters();
                const auto statistics = bench.layer->statistics();
                const auto n = static_cast<double>(tiling.samples * shape.pixels());
                for (index_t c = 0; c < shape.channels; ++c) {
                    const auto for_each = [&](auto work) {
                        for (index_t s = 0; s < tiling.samples; ++s)
                            for (index_t p = 0; p < shape.pixels(); ++p) work(c * shape.pixels() + p, s);
                    };
                    double sum = 0, squares = 0, dy_sum = 0, dy_xhat = 0;
                    for_each([&](index_t f, index_t s) { sum += bench.x_of(f, s); });
                    for_each([&](index_t f, index_t s) { squares += std::pow(bench.x_of(f, s) - sum / n, 2); });
                    const double deviation = std::sqrt(squares / n + epsilon);
                    const auto xhat = [&](index_t f, index_t s) { return (bench.x_of(f, s) - sum / n) / deviation; };
                    for_each([&](index_t f, index_t s) {
                        dy_sum += bench.dy_of(f, s);
                        dy_xhat += bench.dy_of(f, s) * xhat(f, s);
                    });
                    const double scale = parameters[0]->value[c], shift = parameters[1]->value[c];
                    // Roundings of x - mean and of dy - ... come multiplied by this factor.
                    const double bound = tolerance * std::max(1.0, std::abs(scale) / deviation);
                    for_each([&](index_t f, index_t s) {
                        CHECK(std::abs(bench.y_of(f, s) - (scale * xhat(f, s) + shift)) < bound);
                        const double dx =
                            scale / deviation * (bench.dy_of(f, s) - dy_sum / n - xhat(f, s) * dy_xhat / n);
                        CHECK(std::abs(bench.dx_of(f, s) - dx) < bound);
                    });
                    CHECK(std::abs(parameters[0]->gradient[c] - dy_xhat) < tolerance * n);
                    CHECK(std::abs(parameters[1]->gradient[c] - dy_sum) < tolerance * n);
                    CHECK(std::abs(statistics[0]->values[c] - momentum * sum / n) < tolerance);
                    CHECK(std::abs(statistics[1]->values[c] - ((1 - momentum) + momentum * squares / (n - 1))) <
                          tolerance);
                }
                for (index_t s = tiling.samples; s < tiling.tiles() * tiling.width; ++s)
                    for (index_t f = 0; f < shape.size(); ++f) CHECK(bench.dx_of(f, s) == 0);
            }
}

TEST_CASE("batch_norm: a mean far above the deviation costs no more than the rounding of x") {
    LayerBench bench("{layer: batch_norm}", {1, 1, 1}, {64, 64});
    bench.layer->parameters()[0]->value[0] = 1;
    for (index_t s = 0; s < 64; ++s) bench.x_of(0, s) = static_cast<real>(10000 + (s % 2 == 0 ? 1 : -1));  // exact
    bench.forward();
    for (index_t s = 0; s < 64; ++s)
        CHECK(std::abs(bench.y_of(0, s) - (s % 2 == 0 ? 1 : -1) / std::sqrt(1 + 1e-5)) < 1e-6);
}

TEST_CASE("batch_norm: evaluation uses the running statistics and leaves them alone") {
    for (const auto& shape : shapes) {
        LayerBench bench("{layer: batch_norm}", shape, {11, 8});
        deal(bench, 0, 11, 1);
        set_parameters(bench);
        const auto statistics = bench.layer->statistics();
        for (std::size_t c = 0; c < statistics[0]->values.size(); ++c) {
            statistics[0]->values[c] = static_cast<real>(c);
            statistics[1]->values[c] = static_cast<real>(c + 1);
        }
        bench.step.training = false;
        bench.forward();
        bench.backward();
        for (index_t f = 0; f < shape.size(); ++f) {
            const auto c = static_cast<std::size_t>(f / shape.pixels());
            const double scale = bench.layer->parameters()[0]->value[c] / std::sqrt(static_cast<double>(c) + 1 + 1e-5);
            CHECK(statistics[0]->values[c] == static_cast<real>(c));
            for (index_t s = 0; s < 11; ++s) {
                const double centred = bench.x_of(f, s) - static_cast<double>(c);
                CHECK(std::abs(bench.y_of(f, s) - (scale * centred + bench.layer->parameters()[1]->value[c])) <
                      tolerance);
                CHECK(std::abs(bench.dx_of(f, s) - scale * bench.dy_of(f, s)) < tolerance);
            }
        }
    }
}

TEST_CASE("batch_norm: slices of the batch, also empty ones, compute what one slice does") {
    for (const auto& shape : shapes)
        for (const index_t first_part : {0, 1, 5, 19}) {
            constexpr index_t samples = 19;
            LayerBench whole("{layer: batch_norm}", shape, {samples, 32});
            LayerBench a("{layer: batch_norm}", shape, {first_part, 8});
            LayerBench b("{layer: batch_norm}", shape, {samples - first_part, 16});
            deal(whole, 0, samples, 2);
            deal(a, 0, samples, 2);
            deal(b, first_part, samples, 2);
            for (auto* bench : {&whole, &a, &b}) set_parameters(*bench);
            whole.forward();
            whole.backward();

            // One after the other: a slice's own sums are noted on a first, discarded run, and added to the other's.
            std::vector<double> sums_a, sums_b, total;
            const auto note = [](std::vector<double>& sums) {
                return [&sums](std::span<const double> own) {
                    sums.assign(own.begin(), own.end());
                    return own;
                };
            };
            const auto add_other = [&total](const std::vector<double>& other) {
                return [&](std::span<const double> own) {
                    REQUIRE(own.size() == other.size());
                    total.assign(own.begin(), own.end());
                    for (std::size_t i = 0; i < own.size(); ++i) total[i] += other[i];
                    return std::span<const double>(total);
                };
            };
            const auto exchange = [&](auto work) {
                a.over_batch = note(sums_a);
                b.over_batch = note(sums_b);
                for (auto* bench : {&a, &b}) {
                    auto statistics = bench->layer->statistics();
                    const auto mean = statistics[0]->values, variance = statistics[1]->values;
                    work(*bench);
                    statistics[0]->values = mean;
                    statistics[1]->values = variance;
                }
                a.over_batch = add_other(sums_b);
                b.over_batch = add_other(sums_a);
                for (auto* bench : {&a, &b}) work(*bench);
            };
            exchange([](LayerBench& bench) { bench.forward(); });
            exchange([](LayerBench& bench) { bench.backward(); });

            for (index_t f = 0; f < shape.size(); ++f)
                for (index_t s = 0; s < samples; ++s) {
                    LayerBench& part = s < first_part ? a : b;
                    const index_t own = s < first_part ? s : s - first_part;
                    CHECK(std::abs(part.y_of(f, own) - whole.y_of(f, s)) < tolerance);
                    CHECK(std::abs(part.dx_of(f, own) - whole.dx_of(f, s)) < tolerance);
                }
            for (std::size_t i = 0; i < 2; ++i)
                for (std::size_t c = 0; c < whole.layer->parameters()[i]->value.size(); ++c) {
                    const double sum = a.layer->parameters()[i]->gradient[c] + b.layer->parameters()[i]->gradient[c];
                    CHECK(std::abs(sum - whole.layer->parameters()[i]->gradient[c]) < 10 * tolerance);
                    CHECK(std::abs(a.layer->statistics()[i]->values[c] - whole.layer->statistics()[i]->values[c]) <
                          tolerance);
                    CHECK(a.layer->statistics()[i]->values[c] == b.layer->statistics()[i]->values[c]);
                }
        }
}

TEST_CASE("batch_norm: a batch of one number is the shift, and does not break the statistics") {
    LayerBench bench("{layer: batch_norm}", {2, 1, 1}, {1, 8});
    deal(bench, 0, 1, 4);
    set_parameters(bench);
    bench.forward();
    for (index_t f = 0; f < 2; ++f) {
        CHECK(std::abs(bench.y_of(f, 0) - bench.layer->parameters()[1]->value[f]) < tolerance);
        CHECK(std::isfinite(bench.layer->statistics()[1]->values[f]));
    }
}

TEST_CASE("dropout: the kept fraction is 1 - rate within five deviations, the kept are scaled") {
    for (const double rate : {0.0, 0.1, 0.5, 0.9}) {
        LayerBench bench(text("{layer: dropout, rate: ", rate, "}"), {7, 11, 3}, {70, 64});
        std::fill(bench.x.begin(), bench.x.end(), real{2});
        bench.forward();
        const double total = 231 * 70;
        double kept = 0;
        for (index_t s = 0; s < 70; ++s)
            for (index_t f = 0; f < 231; ++f) {
                const real y = bench.y_of(f, s);
                CHECK((y == 0 || y == 2 * static_cast<real>(1 / (1 - rate))));
                kept += y != 0;
            }
        CHECK(std::abs(kept / total - (1 - rate)) <= 5 * std::sqrt(rate * (1 - rate) / total));
    }
}

TEST_CASE("dropout: each feature is kept by its own random number, also in a batch smaller than the one before") {
    constexpr double rate = 0.3;
    for (const index_t features : {1, 6, 8}) {
        LayerBench bench("{layer: dropout, rate: 0.3}", {features, 1, 1}, {29, 16}, 4);
        const RandomStream random(1, Purpose::dropout, 4, 7);
        const index_t draws = (features + 3) / 4;
        for (const index_t samples : {29, 19}) {
            bench.step.step = 7;
            bench.step.first_sample = 100;
            bench.step.tiling.samples = samples;
            std::fill(bench.x.begin(), bench.x.end(), real{1});
            bench.forward();
            for (index_t s = 0; s < 32; ++s)
                for (index_t f = 0; f < features; ++f) {
                    const auto bits = random.bits(static_cast<std::uint64_t>((100 + s) * draws + f / 4));
                    const bool kept = s < samples && bits[static_cast<std::size_t>(f % 4)] >= rate * 0x1p32;
                    CHECK(bench.y_of(f, s) == (kept ? static_cast<real>(1 / (1 - rate)) : 0));
                }
        }
    }
}

TEST_CASE("dropout: backward drops what forward dropped; evaluation drops nothing") {
    LayerBench bench("{layer: dropout}", {10, 1, 1}, {13, 8});
    std::fill(bench.x.begin(), bench.x.end(), real{3});
    std::fill(bench.dy.begin(), bench.dy.end(), real{3});
    bench.forward();
    bench.backward();
    for (index_t s = 0; s < 16; ++s)
        for (index_t f = 0; f < 10; ++f) CHECK(bench.dx_of(f, s) == (s < 13 ? bench.y_of(f, s) : 0));
    bench.step.training = false;
    bench.forward();
    bench.backward();
    CHECK(bench.y == bench.x);
    CHECK(bench.dx == bench.dy);
}

TEST_CASE("dropout: the mask does not depend on the split of the batch or the tile width") {
    for (const index_t features : {1, 4, 10, 31}) {
        constexpr index_t samples = 40;
        const auto mask_of = [&](index_t first, const Tiling& tiling) {
            LayerBench bench("{layer: dropout, rate: 0.4}", {features, 1, 1}, tiling);
            std::fill(bench.x.begin(), bench.x.end(), real{1});
            bench.step.step = 12;
            bench.step.first_sample = first;
            bench.step.global_samples = samples;
            bench.forward();
            std::vector<bool> mask;
            for (index_t s = 0; s < tiling.samples; ++s)
                for (index_t f = 0; f < features; ++f) mask.push_back(bench.y_of(f, s) != 0);
            return mask;
        };
        const auto whole = mask_of(0, {samples, 64});
        for (const index_t first_part : {0, 7, 20, 33}) {
            auto parts = mask_of(0, {first_part, 8});
            const auto second = mask_of(first_part, {samples - first_part, 16});
            parts.insert(parts.end(), second.begin(), second.end());
            CHECK(parts == whole);
        }
    }
}

TEST_CASE("dropout: steps, layers, seeds, samples and features have different masks") {
    std::set<std::vector<real>> masks;
    for (const auto& [number, seed, step] :
         std::vector<std::tuple<std::uint32_t, std::uint64_t, index_t>>{{0, 1, 0}, {1, 1, 0}, {0, 2, 0}, {0, 1, 1}}) {
        LayerBench bench("{layer: dropout}", {64, 1, 1}, {16, 16}, number);
        std::fill(bench.x.begin(), bench.x.end(), real{1});
        bench.step.seed = seed;
        bench.step.step = step;
        bench.forward();
        for (index_t s = 0; s < 16; ++s) {
            std::vector<real> mask;
            for (index_t f = 0; f < 64; ++f) mask.push_back(bench.y_of(f, s));
            masks.insert(mask);
        }
        for (index_t f = 0; f < 64; ++f) {
            index_t kept = 0;
            for (index_t s = 0; s < 16; ++s) kept += bench.y_of(f, s) != 0;
            CHECK((kept > 0 && kept < 16));  // with probability 2^-15 each not so for random bits
        }
    }
    CHECK(masks.size() == 4 * 16);  // two of 64 random bits are equal with probability 2^-64
}
