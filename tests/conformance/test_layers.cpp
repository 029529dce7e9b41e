// Every registered layer: its gradients are the derivatives of its forward, and it keeps the promises of nn/layer.hpp.
// Built with double numbers. Central differences with h = 1e-5 err by h^2/6 times the third derivative, 1e-10 here, and
// by 2^-53 |sum| / h, about 1e-10: a tolerance of 1e-7 of the largest gradient is far above that and far below any
// wrong term. A layer without a sample here fails.
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "../support/layer_bench.hpp"
#include "pruntrain/model/loss.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/model/weight_matrix.hpp"

using namespace pruntrain;

namespace {

static_assert(sizeof(real) == 8, "gradient checks need the double build");

constexpr double h = 1e-5;
constexpr double tolerance = 1e-7;

struct Sample {
    std::string keys;
    Shape input;
    bool sparse = false;  ///< its weight has lost every third number and executes sparse
};

const std::map<std::string, std::vector<Sample>> samples{
    {"average_pool2d", {{"", {2, 4, 5}}, {", kernel: 3, stride: 2", {1, 5, 6}}, {", stride: 1", {2, 3, 3}}}},
    {"batch_norm", {{"", {4, 1, 1}}, {", epsilon: 0.1", {2, 3, 2}}}},
    {"conv2d",
     {{", channels: 3", {2, 4, 5}},
      {", channels: 2, stride: 2, padding: 1, bias: false", {1, 5, 4}},
      {", channels: 2, kernel: 4, padding: 3", {2, 3, 3}},
      {", channels: 3, kernel: 1, prunable: false", {4, 2, 2}}}},
    {"dense", {{", units: 3", {5, 1, 1}}, {", units: 4, bias: false, prunable: false", {7, 1, 1}}}},
    {"dropout", {{"", {6, 1, 1}}, {", rate: 0.2", {1, 3, 3}}}},
    {"flatten", {{"", {2, 2, 3}}, {"", {4, 1, 1}}}},
    {"max_pool2d", {{"", {2, 4, 5}}, {", kernel: 3, stride: 2", {1, 5, 6}}, {", stride: 1", {2, 3, 3}}}},
    {"relu", {{"", {5, 1, 1}}, {"", {2, 2, 3}}}},
};

const std::vector<Tiling> tilings{{1, 8}, {11, 8}, {16, 16}, {19, 16}};

/// Different from each other by 0.03 and from 0 by 0.015 at least: no step of h passes a kink of relu or max.
void fill_away_from_kinks(std::vector<real>& x) {
    const auto size = static_cast<index_t>(x.size());
    const Permutation order(size, RandomStream(1, Purpose::test, 5));
    for (index_t i = 0; i < size; ++i) x[i] = 0.03 * (static_cast<double>(order(i) - size / 2) + 0.5);
}

/// A bench with numbers everywhere, padding lanes too.
LayerBench bench_of(const std::string& type, const Sample& sample, const Tiling& tiling) {
    LayerBench bench(text("{layer: ", type, sample.keys, "}"), sample.input, tiling, 3);
    if (sample.sparse) {
        WeightMatrix& weight = *bench.layer->weight_matrix();
        std::vector<std::vector<std::uint8_t>> keep(bench.arena->parameters().size());
        for (index_t k = 0; k < weight.parameter().pattern.kept(); ++k) keep.front().push_back(k % 3 != 1);
        bench.arena->keep(keep);  // the weight is the layer's first parameter
        weight.execute(Execution::sparse);
    }
    fill_away_from_kinks(bench.x);
    bench.dy = random_numbers(static_cast<index_t>(bench.dy.size()), 6);
    const auto values = random_numbers(bench.arena->size(), 7);
    std::copy(values.begin(), values.end(), bench.arena->values().begin());
    std::fill(bench.arena->gradients().begin(), bench.arena->gradients().end(), real{99});  // must be set, not added to
    std::fill(bench.dx.begin(), bench.dx.end(), real{99});
    return bench;
}

std::vector<real> copy(std::span<const real> all) { return {all.begin(), all.end()}; }

/// The sum of dy * y over the samples: its gradients are what backward computes.
double weighted_output(LayerBench& bench) {
    bench.forward();
    double sum = 0;
    for (index_t s = 0; s < bench.step.tiling.samples; ++s)
        for (index_t f = 0; f < bench.outputs(); ++f) sum += bench.dy_of(f, s) * bench.y_of(f, s);
    return sum;
}

template <class Value>
double central_difference(real& number, Value value) {
    const real before = number;
    number = before + h;
    const double above = value();
    number = before - h;
    const double below = value();
    number = before;
    return (above - below) / (2 * h);
}

double largest_of(std::span<const real> all) {
    double largest = 1;
    for (const real value : all) largest = std::max(largest, std::abs(value));
    return largest;
}

template <class Work>
void for_each_case(Work work) {
    for (const auto& type : layers().names()) {
        INFO(type);
        const auto found = samples.find(type);
        const bool has_sample = found != samples.end();
        CHECK_MESSAGE(has_sample, "write a sample for layer ", type);
        if (!has_sample) continue;
        for (Sample sample : found->second)
            for (const auto& tiling : tilings) {
                CAPTURE(sample.keys);
                CAPTURE(tiling.samples);
                sample.sparse = false;
                work(type, sample, tiling);
                if (!bench_of(type, sample, tiling).layer->weight_matrix()) continue;
                INFO("sparse");
                sample.sparse = true;
                work(type, sample, tiling);
            }
    }
}

}  // namespace

TEST_CASE("layers: dx and parameter gradients are central differences") {
    for_each_case([](const std::string& type, const Sample& sample, const Tiling& tiling) {
        LayerBench bench = bench_of(type, sample, tiling);
        bench.forward();
        bench.backward();
        const auto value = [&] { return weighted_output(bench); };
        const double bound = tolerance * largest_of(bench.dx);
        for (index_t s = 0; s < tiling.samples; ++s)
            for (index_t f = 0; f < bench.inputs(); ++f) {
                const double difference = central_difference(bench.x_of(f, s), value);
                CHECK(std::abs(bench.dx_of(f, s) - difference) <= bound);
            }
        const double parameter_bound = tolerance * largest_of(bench.arena->gradients());
        for (index_t i = 0; i < bench.arena->size(); ++i) {
            const double difference = central_difference(bench.arena->values()[i], value);
            CHECK(std::abs(bench.arena->gradients()[i] - difference) <= parameter_bound);
        }
    });
}

TEST_CASE("layers: dx and parameter gradients are central differences in evaluation, too") {
    for_each_case([](const std::string& type, const Sample& sample, const Tiling& tiling) {
        LayerBench bench = bench_of(type, sample, tiling);
        bench.step.training = false;
        bench.forward();
        bench.backward();
        const auto value = [&] { return weighted_output(bench); };
        for (index_t f = 0; f < bench.inputs(); ++f) {
            const double difference = central_difference(bench.x_of(f, 0), value);
            CHECK(std::abs(bench.dx_of(f, 0) - difference) <= tolerance * largest_of(bench.dx));
        }
        for (index_t i = 0; i < bench.arena->size(); ++i) {
            const double difference = central_difference(bench.arena->values()[i], value);
            CHECK(std::abs(bench.arena->gradients()[i] - difference) <=
                  tolerance * largest_of(bench.arena->gradients()));
        }
    });
}

TEST_CASE("layers: padding lanes of the input change nothing, and their dx is 0") {
    for_each_case([](const std::string& type, const Sample& sample, const Tiling& tiling) {
        std::vector<std::vector<real>> outputs, input_gradients, gradients;
        for (const real padding : {0.0, 123.0}) {
            LayerBench bench = bench_of(type, sample, tiling);
            fill_padding(tiling, bench.inputs(), padding, bench.x);
            bench.forward();
            bench.backward();
            for (index_t s = tiling.samples; s < tiling.tiles() * tiling.width; ++s)
                for (index_t f = 0; f < bench.inputs(); ++f) CHECK(bench.dx_of(f, s) == 0);
            for (const real y : bench.y) CHECK(std::isfinite(y));
            fill_padding(tiling, bench.outputs(), 0, bench.y);
            outputs.push_back(bench.y);
            input_gradients.push_back(bench.dx);
            gradients.push_back(copy(bench.arena->gradients()));
        }
        CHECK(outputs[0] == outputs[1]);
        CHECK(input_gradients[0] == input_gradients[1]);
        CHECK(gradients[0] == gradients[1]);
    });
}

TEST_CASE("layers: results do not depend on the tile width") {  // beyond the order of sums: 1e-12 of order 1
    for_each_case([](const std::string& type, const Sample& sample, const Tiling& tiling) {
        LayerBench bench = bench_of(type, sample, tiling);
        LayerBench wide = bench_of(type, sample, {tiling.samples, 64});
        for (index_t s = 0; s < tiling.samples; ++s) {
            for (index_t f = 0; f < bench.inputs(); ++f) wide.x_of(f, s) = bench.x_of(f, s);
            for (index_t f = 0; f < bench.outputs(); ++f) wide.dy_of(f, s) = bench.dy_of(f, s);
        }
        for (auto* one : {&bench, &wide}) {
            one->forward();
            one->backward();
        }
        const double bound = 1e-12 * std::max(largest_of(bench.y), largest_of(bench.dx));
        for (index_t s = 0; s < tiling.samples; ++s) {
            for (index_t f = 0; f < bench.outputs(); ++f) CHECK(std::abs(wide.y_of(f, s) - bench.y_of(f, s)) <= bound);
            for (index_t f = 0; f < bench.inputs(); ++f) CHECK(std::abs(wide.dx_of(f, s) - bench.dx_of(f, s)) <= bound);
        }
        for (index_t i = 0; i < bench.arena->size(); ++i)
            CHECK(std::abs(wide.arena->gradients()[i] - bench.arena->gradients()[i]) <=
                  1e-12 * largest_of(bench.arena->gradients()));
    });
}

TEST_CASE("layers: a rank without samples sets its gradients to 0") {
    for (const auto& [type, list] : samples)
        for (Sample sample : list)
            for (const bool sparse : {false, true}) {
                sample.sparse = sparse;
                if (sparse && !make_layer(text("{layer: ", type, sample.keys, "}"), sample.input)->weight_matrix())
                    continue;
                LayerBench bench = bench_of(type, sample, {0, 8});
                bench.step.global_samples = 5;
                bench.forward();
                bench.backward();
                for (const real gradient : bench.arena->gradients()) CHECK(gradient == 0);
            }
}

TEST_CASE("layers: without dx the parameter gradients are the same") {
    for_each_case([](const std::string& type, const Sample& sample, const Tiling& tiling) {
        LayerBench bench = bench_of(type, sample, tiling);
        bench.forward();
        bench.backward();
        const auto gradients = copy(bench.arena->gradients());
        std::fill(bench.arena->gradients().begin(), bench.arena->gradients().end(), real{99});
        const real* const x = bench.in_place() ? bench.y.data() : bench.x.data();
        bench.backward(x, bench.dy.data(), nullptr);
        CHECK(copy(bench.arena->gradients()) == gradients);
    });
}

TEST_CASE("layers: the gradient of a kept weight is that of a dense layer with zeros") {
    for_each_case([](const std::string& type, const Sample& sample, const Tiling& tiling) {
        if (sample.sparse) return;  // both executions are compared with the dense layer below
        LayerBench dense = bench_of(type, sample, tiling), sparse = bench_of(type, sample, tiling);
        const auto parameters = dense.layer->parameters(), pruned = sparse.layer->parameters();
        std::vector<std::vector<std::uint8_t>> keep;
        for (std::size_t i = 0; i < parameters.size(); ++i) {
            auto& flags = keep.emplace_back();
            if (!parameters[i]->prunable) continue;
            const RandomStream random(1, Purpose::test, 8);
            for (std::size_t k = 0; k < parameters[i]->value.size(); ++k) {
                flags.push_back(random.uniform(k) < 0.4 ? 1 : 0);
                if (flags.back() == 0) parameters[i]->value[k] = 0;
            }
        }
        sparse.arena->keep(keep);
        for (const Execution execution : {Execution::dense, Execution::sparse}) {
            if (WeightMatrix* const weight = sparse.layer->weight_matrix()) weight->execute(execution);
            for (auto* bench : {&dense, &sparse}) {
                bench->forward();
                bench->backward();
            }
            const auto near = [](real a, real b, double scale) {
                return std::abs(a - b) <= 1e-12 * scale;
            };  // order of sums
            for (std::size_t i = 0; i < dense.y.size(); ++i) CHECK(near(sparse.y[i], dense.y[i], largest_of(dense.y)));
            for (std::size_t i = 0; i < dense.dx.size(); ++i)
                CHECK(near(sparse.dx[i], dense.dx[i], largest_of(dense.dx)));
            for (std::size_t i = 0; i < parameters.size(); ++i) {
                const auto positions = pruned[i]->pattern.dense_positions();
                for (std::size_t k = 0; k < positions.size(); ++k)
                    CHECK(near(pruned[i]->gradient[k], parameters[i]->gradient[static_cast<std::size_t>(positions[k])],
                               largest_of(parameters[i]->gradient)));
            }
        }
    });
}

TEST_CASE("layers: every layer works in a network: gradients of all weights, before it and behind it") {
    for_each_case([](const std::string& type, const Sample& sample, const Tiling& tiling) {
        // The layer before it has the sample's input as output, so its gradients need the dx of the layer.
        const std::string before = sample.input.flat()
                                       ? text("{layer: dense, units: ", sample.input.channels, "}")
                                       : text("{layer: conv2d, kernel: 1, channels: ", sample.input.channels, "}");
        const Config config = config_of(text("{model: [", before, ", {layer: ", type, sample.keys,
                                             "}, {layer: flatten}, {layer: dense, units: 3}]}"));
        const Shape input = sample.input.flat() ? Shape{3, 1, 1} : Shape{2, sample.input.rows, sample.input.columns};
        Network network(config.list("model"), input);
        network.initialize(5);
        const auto loss = losses().find("cross_entropy")(config_of("{}"));
        NetworkStep step;
        step.training = true;
        step.tiling = tiling;
        step.global_samples = tiling.samples;
        network.set_tile_widths({tiling.width, tiling.width == 8 ? 16 : 8});
        network.reserve(tiling.samples);
        const auto x = random_numbers(network.input_tiling(tiling.samples).size(input.size()), 9);
        const Tiling output = network.output_tiling(tiling.samples);
        std::vector<float> targets;
        for (index_t s = 0; s < tiling.samples; ++s) targets.push_back(static_cast<float>(s % 3));
        const auto evaluate = [&](real* gradient) {
            std::copy(x.begin(), x.end(), network.input());
            network.forward(step);
            const double sum =
                loss->evaluate(output, 3, network.output(), targets.data(), 1, tiling.samples, gradient).loss;
            return sum / static_cast<double>(tiling.samples);
        };
        evaluate(network.output_gradient());
        network.backward(step);
        const auto gradients = copy(network.arena().gradients());
        for (index_t i = 0; i < network.arena().size(); ++i) {
            const double difference =
                central_difference(network.arena().values()[i], [&] { return evaluate(nullptr); });
            CHECK(std::abs(gradients[static_cast<std::size_t>(i)] - difference) <= tolerance * largest_of(gradients));
        }
    });
}
