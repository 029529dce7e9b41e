// Vector loops against one-line twins.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "../support/layer_bench.hpp"
#include "pruntrain/math/elementwise.hpp"

using namespace pruntrain;

TEST_CASE("elementwise: rows of every tile width, and of images") {
    for (const index_t width : {8, 16, 32, 64, 8 * 5, 64 * 9}) {
        constexpr index_t rows = 5;
        const auto values = whole_numbers(rows, 1);
        std::vector<real> y(static_cast<std::size_t>(rows * width));
        fill_rows(values, width, y.data());
        for (index_t row = 0; row < rows; ++row)
            for (index_t lane = 0; lane < width; ++lane) CHECK(y[row * width + lane] == values[row]);

        const auto x = whole_numbers(rows * width, 2);
        auto sums = values, expected = values;
        add_row_sums(x.data(), width, sums);
        for (index_t i = 0; i < rows * width; ++i) expected[i / width] += x[i];
        CHECK(sums == expected);
    }
}

TEST_CASE("elementwise: relu and its gradient, apart and in place") {
    const auto x = random_numbers(37, 5), dy = random_numbers(37, 6);
    std::vector<real> y(x.size()), dx(x.size());
    relu(x, y.data());
    relu_gradient(y, dy.data(), dx.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
        CHECK(y[i] == (x[i] > 0 ? x[i] : 0));
        CHECK(dx[i] == (x[i] > 0 ? dy[i] : 0));
    }
    auto y_in_place = x, dx_in_place = dy;
    relu(y_in_place, y_in_place.data());
    relu_gradient(y, dx_in_place.data(), dx_in_place.data());
    CHECK(y_in_place == y);
    CHECK(dx_in_place == dx);
}

TEST_CASE("elementwise: relu does not hide NaN") {
    std::vector<real> x(19, std::numeric_limits<real>::quiet_NaN());
    relu(x, x.data());
    for (const real value : x) CHECK(std::isnan(value));
}
