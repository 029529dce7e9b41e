// im2col and col2im against their definition, and as transposes of each other. Whole numbers: all sums are exact.
#include <doctest/doctest.h>

#include "../support/layer_bench.hpp"
#include "pruntrain/math/im2col.hpp"

using namespace pruntrain;

namespace {

struct Sample {
    Shape image;
    Window window;
};

const std::vector<Sample> samples{
    {{1, 1, 1}, {1, 1, 0}}, {{2, 5, 7}, {3, 1, 0}}, {{2, 5, 7}, {3, 1, 1}}, {{3, 6, 5}, {3, 2, 1}},
    {{1, 7, 8}, {2, 2, 0}}, {{2, 9, 4}, {5, 1, 2}}, {{1, 8, 8}, {3, 3, 2}}, {{2, 2, 3}, {4, 1, 3}},
    {{1, 3, 3}, {1, 2, 0}}, {{1, 1, 2}, {4, 3, 3}}, {{1, 6, 6}, {2, 5, 1}},
};

/// The number of x that columns[(c,i,j), (pixel, lane)] is, -1 for padding.
index_t source(const Sample& sample, index_t width, index_t row, index_t pixel, index_t lane) {
    const auto [kernel, stride, padding] = sample.window;
    const index_t c = row / (kernel * kernel), i = row / kernel % kernel, j = row % kernel;
    const index_t output_columns = sample.window.places(sample.image.columns);
    const index_t r = pixel / output_columns * stride - padding + i;
    const index_t q = pixel % output_columns * stride - padding + j;
    if (r < 0 || r >= sample.image.rows || q < 0 || q >= sample.image.columns) return -1;
    return ((c * sample.image.rows + r) * sample.image.columns + q) * width + lane;
}

/// All ways to cut the output pixels in blocks of `block`.
template <class Work>
void for_each_block(const Sample& sample, Work work) {
    const index_t pixels = sample.window.places(sample.image.rows) * sample.window.places(sample.image.columns);
    for (const index_t block : {index_t{1}, index_t{3}, pixels})
        for (index_t first = 0; first < pixels; first += block) work(first, std::min(block, pixels - first));
}

}  // namespace

TEST_CASE("im2col: every number is where the definition says, padding is zero") {
    for (const auto& sample : samples)
        for (const index_t width : {8, 16})
            for_each_block(sample, [&](index_t first, index_t count) {
                const index_t rows = sample.image.channels * sample.window.kernel * sample.window.kernel;
                const auto x = random_numbers(sample.image.size() * width, 1);
                std::vector<real> columns(static_cast<std::size_t>(rows * count * width), real{9}), expected = columns;
                for (index_t row = 0; row < rows; ++row)
                    for (index_t p = 0; p < count; ++p)
                        for (index_t lane = 0; lane < width; ++lane) {
                            const index_t from = source(sample, width, row, first + p, lane);
                            expected[(row * count + p) * width + lane] = from < 0 ? real{0} : x[from];
                        }
                im2col(sample.image, sample.window, width, first, count, x.data(), columns.data());
                CHECK(columns == expected);
            });
}

TEST_CASE("col2im: every number is added to where it came from") {
    for (const auto& sample : samples)
        for_each_block(sample, [&](index_t first, index_t count) {
            constexpr index_t width = 8;
            const index_t rows = sample.image.channels * sample.window.kernel * sample.window.kernel;
            const auto columns = whole_numbers(rows * count * width, 2);
            auto dx = whole_numbers(sample.image.size() * width, 3);
            auto expected = dx;
            for (index_t row = 0; row < rows; ++row)
                for (index_t p = 0; p < count; ++p)
                    for (index_t lane = 0; lane < width; ++lane) {
                        const index_t to = source(sample, width, row, first + p, lane);
                        if (to >= 0) expected[to] += columns[(row * count + p) * width + lane];
                    }
            col2im(sample.image, sample.window, width, first, count, columns.data(), dx.data());
            CHECK(dx == expected);
        });
}

TEST_CASE("im2col and col2im are transposes: <im2col x, c> = <x, col2im c>") {
    for (const auto& sample : samples)
        for_each_block(sample, [&](index_t first, index_t count) {
            constexpr index_t width = 8;
            const index_t rows = sample.image.channels * sample.window.kernel * sample.window.kernel;
            const auto x = whole_numbers(sample.image.size() * width, 4);
            const auto c = whole_numbers(rows * count * width, 5);
            std::vector<real> columns(c.size()), dx(x.size());
            im2col(sample.image, sample.window, width, first, count, x.data(), columns.data());
            col2im(sample.image, sample.window, width, first, count, c.data(), dx.data());
            real left = 0, right = 0;
            for (std::size_t k = 0; k < c.size(); ++k) left += columns[k] * c[k];
            for (std::size_t k = 0; k < x.size(); ++k) right += x[k] * dx[k];
            CHECK(left == right);
        });
}

TEST_CASE("window: places along an image") {
    CHECK(Window{3, 1, 0}.places(28) == 26);
    CHECK(Window{3, 1, 1}.places(28) == 28);
    CHECK(Window{3, 2, 1}.places(28) == 14);
    CHECK(Window{2, 2, 0}.places(5) == 2);
    CHECK(Window{5, 1, 0}.places(5) == 1);
}
