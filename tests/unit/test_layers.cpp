// Layers without a library twin: convolution, pooling, relu, flatten against loops over samples and pixels.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "../support/layer_bench.hpp"
#include "pruntrain/math/im2col.hpp"

using namespace pruntrain;

namespace {

const std::vector<Tiling> tilings{{0, 8}, {1, 8}, {11, 8}, {16, 16}, {70, 64}};

struct Windowed {
    Shape image;
    Window window;
};

const std::vector<Windowed> windows{
    {{1, 5, 5}, {3, 1, 0}}, {{2, 7, 6}, {3, 1, 1}}, {{3, 9, 5}, {3, 2, 1}}, {{2, 6, 7}, {5, 1, 2}},
    {{2, 8, 5}, {2, 2, 0}}, {{1, 3, 4}, {3, 2, 2}}, {{4, 3, 3}, {1, 1, 0}}, {{16, 9, 9}, {3, 1, 1}},  // many blocks
    {{2, 6, 8}, {2, 2, 0}}, {{1, 6, 9}, {3, 3, 0}}, {{2, 8, 7}, {2, 3, 0}}, {{1, 5, 6}, {2, 1, 0}},
};

index_t number(const Shape& shape, index_t c, index_t r, index_t q) { return (c * shape.rows + r) * shape.columns + q; }

std::string yaml(const std::string& type, const Window& window) {
    return text("{layer: ", type, ", kernel: ", window.kernel, ", stride: ", window.stride);
}

/// Calls visit(sample, c, r, q, i, j, input row, input column) for all inputs inside the image of all output pixels of
/// all samples.
template <class Visit>
void for_each_input(const LayerBench& bench, const Window& window, Visit visit) {
    const Shape& input = bench.layer->input_shape();
    const Shape& output = bench.layer->output_shape();
    for (index_t sample = 0; sample < bench.step.tiling.samples; ++sample)
        for (index_t c = 0; c < input.channels; ++c)
            for (index_t r = 0; r < output.rows; ++r)
                for (index_t q = 0; q < output.columns; ++q)
                    for (index_t i = 0; i < window.kernel; ++i)
                        for (index_t j = 0; j < window.kernel; ++j) {
                            const index_t row = r * window.stride - window.padding + i;
                            const index_t column = q * window.stride - window.padding + j;
                            if (row >= 0 && row < input.rows && column >= 0 && column < input.columns)
                                visit(sample, c, r, q, i, j, row, column);
                        }
}

}  // namespace

TEST_CASE("conv2d: forward and backward are the direct sums") {  // whole numbers: equal to the bit
    constexpr index_t channels = 3;
    for (const auto& [image, window] : windows)
        for (const auto& tiling : tilings)
            for (const bool with_bias : {true, false}) {
                LayerBench bench(text(yaml("conv2d", window), ", padding: ", window.padding, ", channels: ", channels,
                                      with_bias ? "}" : ", bias: false}"),
                                 image, tiling);
                const Shape input = image, output = bench.layer->output_shape();
                bench.x = whole_numbers(tiling.size(input.size()), 1);
                bench.dy = whole_numbers(tiling.size(output.size()), 2);
                const auto values = whole_numbers(bench.arena->size(), 3);
                std::copy(values.begin(), values.end(), bench.arena->values().begin());
                auto parameters = bench.layer->parameters();
                REQUIRE(parameters.size() == (with_bias ? 2 : 1));
                Parameter& weight = *parameters[0];
                const auto weight_place = [&, k = window.kernel, c_in = image.channels](index_t o, index_t c, index_t i,
                                                                                        index_t j) {
                    return static_cast<std::size_t>(((o * c_in + c) * k + i) * k + j);
                };
                std::fill(bench.dx.begin(), bench.dx.end(), real{99});
                std::fill(bench.arena->gradients().begin(), bench.arena->gradients().end(), real{99});
                bench.forward();
                bench.backward();

                std::vector<real> y(bench.y.size()), dx(bench.x.size()), dweight(weight.value.size()), dbias(channels);
                const auto y_place = [&](index_t o, index_t r, index_t q, index_t sample) {
                    return place_of(tiling, output.size(), number(output, o, r, q), sample);
                };
                for (index_t sample = 0; sample < tiling.samples; ++sample)
                    for (index_t o = 0; o < channels; ++o)
                        for (index_t p = 0; p < output.pixels(); ++p) {
                            if (with_bias) y[y_place(o, 0, p, sample)] = parameters[1]->value[o];
                            dbias[o] += bench.dy[y_place(o, 0, p, sample)];
                        }
                for_each_input(bench, window,
                               [&](index_t sample, index_t c, index_t r, index_t q, index_t i, index_t j, index_t row,
                                   index_t column) {
                                   const std::size_t x_place =
                                       place_of(tiling, input.size(), number(input, c, row, column), sample);
                                   for (index_t o = 0; o < channels; ++o) {
                                       const std::size_t w = weight_place(o, c, i, j), at = y_place(o, r, q, sample);
                                       y[at] += weight.value[w] * bench.x[x_place];
                                       dweight[w] += bench.dy[at] * bench.x[x_place];
                                       dx[x_place] += weight.value[w] * bench.dy[at];
                                   }
                               });
                fill_padding(tiling, output.size(), 0, bench.y);
                CHECK(bench.y == y);
                CHECK(bench.dx == dx);
                CHECK(std::vector<real>(weight.gradient.begin(), weight.gradient.end()) == dweight);
                if (with_bias)
                    CHECK(std::vector<real>(parameters[1]->gradient.begin(), parameters[1]->gradient.end()) == dbias);
            }
}

TEST_CASE("conv2d: as first layer it needs no dx") {
    LayerBench bench("{layer: conv2d, channels: 2}", {1, 5, 5}, {3, 8});
    bench.x = whole_numbers(bench.step.tiling.size(25), 1);
    bench.dy = whole_numbers(bench.step.tiling.size(18), 2);
    bench.forward();
    bench.backward();
    const std::vector<real> gradients(bench.arena->gradients().begin(), bench.arena->gradients().end());
    std::fill(bench.arena->gradients().begin(), bench.arena->gradients().end(), real{0});
    bench.backward(bench.x.data(), bench.dy.data(), nullptr);
    CHECK(std::vector<real>(bench.arena->gradients().begin(), bench.arena->gradients().end()) == gradients);
}

TEST_CASE(
    "max_pool2d: the largest, its gradient to the first of them; above 0, if it does the work of a relu") {  // few
                                                                                                             // different
                                                                                                             // numbers:
                                                                                                             // many
                                                                                                             // ties
    for (const auto& [image, window] : windows)
        for (const auto& tiling : tilings)
            for (const bool rectified : {false, true}) {
                const Window pool{window.kernel, window.stride, 0};
                if (pool.kernel > std::min(image.rows, image.columns)) continue;
                LayerBench bench(yaml("max_pool2d", pool) + "}", image, tiling);
                if (rectified) REQUIRE(bench.layer->fuse_relu());
                const Shape input = image, output = bench.layer->output_shape();
                bench.x = whole_numbers(tiling.size(input.size()), 1);
                bench.dy = whole_numbers(tiling.size(output.size()), 2);
                std::fill(bench.dx.begin(), bench.dx.end(), real{99});
                bench.forward();
                bench.backward();

                constexpr auto none = std::numeric_limits<std::size_t>::max();
                std::vector<real> y(bench.y.size(), rectified ? 0 : -std::numeric_limits<real>::infinity());
                std::vector<real> dx(bench.x.size());
                std::vector<std::size_t> first(bench.y.size(), none);
                for_each_input(
                    bench, pool,
                    [&](index_t sample, index_t c, index_t r, index_t q, index_t, index_t, index_t row,
                        index_t column) {
                        const std::size_t from = place_of(tiling, input.size(), number(input, c, row, column), sample);
                        const std::size_t to = place_of(tiling, output.size(), number(output, c, r, q), sample);
                        if (bench.x[from] > y[to]) {
                            y[to] = bench.x[from];
                            first[to] = from;
                        }
                    });
                for (index_t sample = 0; sample < tiling.samples; ++sample)
                    for (index_t feature = 0; feature < output.size(); ++feature) {
                        const std::size_t to = place_of(tiling, output.size(), feature, sample);
                        if (first[to] != none) dx[first[to]] += bench.dy[to];
                    }
                fill_padding(tiling, output.size(), 0, bench.y);
                fill_padding(tiling, output.size(), 0, y);
                CHECK(bench.y == y);
                CHECK(bench.dx == dx);
            }
}

TEST_CASE("max_pool2d: a NaN anywhere in the window is the largest, and gets the gradient") {
    for (const index_t kernel : {2, 3})
        for (index_t bad = 0; bad < kernel * kernel; ++bad) {
            LayerBench bench(text("{layer: max_pool2d, kernel: ", kernel, "}"), {1, kernel, kernel}, {8, 8});
            bench.x = whole_numbers(8 * kernel * kernel, 1);
            bench.x_of(bad, 5) = std::numeric_limits<real>::quiet_NaN();
            std::fill(bench.dy.begin(), bench.dy.end(), real{1});
            bench.forward();
            bench.backward();
            for (index_t sample = 0; sample < 8; ++sample) CHECK(std::isnan(bench.y_of(0, sample)) == (sample == 5));
            for (index_t pixel = 0; pixel < kernel * kernel; ++pixel) CHECK(bench.dx_of(pixel, 5) == (pixel == bad));
        }
}

TEST_CASE("max_pool2d: every pixel of the largest window can be chosen; a larger window is refused") {
    LayerBench bench("{layer: max_pool2d, kernel: 16}", {1, 16, 16}, {256, 32});
    for (index_t sample = 0; sample < 256; ++sample) bench.x_of(sample, sample) = 1;
    std::fill(bench.dy.begin(), bench.dy.end(), real{2});
    bench.forward();
    bench.backward();
    for (index_t sample = 0; sample < 256; ++sample)
        for (index_t pixel = 0; pixel < 256; ++pixel) CHECK(bench.dx_of(pixel, sample) == (pixel == sample ? 2 : 0));

    CHECK_THROWS_WITH_AS(make_layer("{layer: max_pool2d, kernel: 17}", {1, 20, 20}),
                         "layer max_pool2d1 (max_pool2d) has a kernel of 17x17, but 16x16 is the largest: "
                         "use two layers in sequence, such as 14 and 2 instead of 28",
                         InputError);
    CHECK_NOTHROW(make_layer("{layer: average_pool2d, kernel: 17}", {1, 20, 20}));
}

TEST_CASE("pooling: holds one byte for each output of max_pool2d, nothing of average_pool2d") {
    const Tiling tiling{70, 64};
    CHECK(make_layer("{layer: max_pool2d}", {3, 8, 6})->held_bytes(tiling) == 2 * 64 * 3 * 4 * 3);
    CHECK(make_layer("{layer: average_pool2d}", {3, 8, 6})->held_bytes(tiling) == 0);
}

TEST_CASE("average_pool2d: the mean, its gradient in equal shares") {
    for (const auto& [image, window] : windows)
        for (const auto& tiling : tilings) {
            const Window pool{window.kernel, window.stride, 0};
            if (pool.kernel > std::min(image.rows, image.columns)) continue;
            LayerBench bench(yaml("average_pool2d", pool) + "}", image, tiling);
            const Shape input = image, output = bench.layer->output_shape();
            bench.x = random_numbers(tiling.size(input.size()), 1);
            bench.dy = random_numbers(tiling.size(output.size()), 2);
            std::fill(bench.dx.begin(), bench.dx.end(), real{99});
            bench.forward();
            bench.backward();

            std::vector<double> y(bench.y.size()), dx(bench.x.size());
            const auto area = static_cast<double>(pool.kernel * pool.kernel);
            for_each_input(
                bench, pool,
                [&](index_t sample, index_t c, index_t r, index_t q, index_t, index_t, index_t row, index_t column) {
                    const std::size_t from = place_of(tiling, input.size(), number(input, c, row, column), sample);
                    const std::size_t to = place_of(tiling, output.size(), number(output, c, r, q), sample);
                    y[to] += bench.x[from] / area;
                    dx[from] += bench.dy[to] / area;
                });
            fill_padding(tiling, output.size(), 0, bench.y);
            // At most 25 terms of order 1, each rounded to 2^-24.
            for (std::size_t i = 0; i < y.size(); ++i) CHECK(std::abs(bench.y[i] - y[i]) < 1e-5);
            for (std::size_t i = 0; i < dx.size(); ++i) CHECK(std::abs(bench.dx[i] - dx[i]) < 1e-5);
        }
}

TEST_CASE("pooling: stride is the kernel unless told otherwise") {
    CHECK(make_layer("{layer: max_pool2d, kernel: 3}", {2, 9, 10})->output_shape() == Shape{2, 3, 3});
    CHECK(make_layer("{layer: average_pool2d}", {2, 9, 10})->output_shape() == Shape{2, 4, 5});
    CHECK(make_layer("{layer: max_pool2d, kernel: 3, stride: 1}", {2, 9, 10})->output_shape() == Shape{2, 7, 8});
}

TEST_CASE("relu and flatten: in place, any shape") {
    for (const auto& tiling : tilings) {
        LayerBench relu("{layer: relu}", {2, 3, 4}, tiling), flatten("{layer: flatten}", {2, 3, 4}, tiling);
        CHECK(relu.layer->output_shape() == Shape{2, 3, 4});
        CHECK(flatten.layer->output_shape() == Shape{24, 1, 1});
        for (auto* bench : {&relu, &flatten}) {
            bench->x = random_numbers(tiling.size(24), 1);
            bench->dy = random_numbers(tiling.size(24), 2);
            bench->forward();
            bench->backward();
            bench->backward(bench->x.data(), bench->dy.data(), nullptr);
        }
        CHECK(flatten.y == flatten.x);
        CHECK(flatten.dx == flatten.dy);
        for (std::size_t i = 0; i < relu.x.size(); ++i) {
            CHECK(relu.y[i] == std::max(relu.x[i], real{0}));
            CHECK(relu.dx[i] == (relu.x[i] > 0 ? relu.dy[i] : 0));
        }
    }
}

TEST_CASE("relu and max_pool2d: with the choices of an earlier forward they are linear") {
    for (const auto& tiling : tilings)
        for (const auto* layer : {"{layer: relu}", "{layer: max_pool2d, kernel: 2}",
                                  "{layer: max_pool2d, kernel: 3, stride: 2}", "{layer: max_pool2d, kernel: 16}"})
            for (const bool after_relu : {false, true}) {
                CAPTURE(layer);
                CAPTURE(after_relu);
                LayerBench bench(layer, {2, 17, 18}, tiling);
                if (after_relu) bench.layer->fuse_relu();
                const auto x = random_numbers(static_cast<index_t>(bench.x.size()), 1);
                bench.dy = random_numbers(static_cast<index_t>(bench.dy.size()), 2);
                const auto pass = [&](Choices choices, real factor) {
                    bench.step.choices = choices;
                    for (std::size_t i = 0; i < x.size(); ++i) bench.x[i] = factor * x[i];
                    bench.forward();
                    bench.backward();
                };
                pass(Choices::remember, 1);
                const auto y = bench.y, dx = bench.dx;
                for (const real factor : {1, -2}) {
                    pass(Choices::repeat, factor);
                    bool linear = true;
                    for (std::size_t i = 0; i < y.size(); ++i) linear = linear && bench.y[i] == factor * y[i];
                    CHECK(linear);
                    CHECK(bench.dx == dx);
                }
            }
}
