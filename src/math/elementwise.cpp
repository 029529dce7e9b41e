#include "pruntrain/math/elementwise.hpp"

namespace pruntrain {

PRUNTRAIN_VECTORIZED
void fill_rows(std::span<const real> values, index_t width, real* y) {
    for (std::size_t row = 0; row < values.size(); ++row)
        for (index_t lane = 0; lane < width; ++lane) y[static_cast<index_t>(row) * width + lane] = values[row];
}

PRUNTRAIN_VECTORIZED
void add_row_sums(const real* x, index_t width, std::span<real> sums) {
    constexpr index_t lanes = 8;  // partial sums, so that the loop is a vector loop; every tile width is a multiple
    for (std::size_t row = 0; row < sums.size(); ++row) {
        const real* const line = x + static_cast<index_t>(row) * width;
        real partial[lanes] = {};
        for (index_t begin = 0; begin < width; begin += lanes)
            for (index_t lane = 0; lane < lanes; ++lane) partial[lane] += line[begin + lane];
        for (const real one : partial) sums[row] += one;
    }
}

PRUNTRAIN_VECTORIZED
void add(const real* x, index_t count, real* y) {
    for (index_t i = 0; i < count; ++i) y[i] += x[i];
}

PRUNTRAIN_VECTORIZED
void relu(std::span<const real> x, real* y) {
    for (std::size_t i = 0; i < x.size(); ++i) y[i] = x[i] < 0 ? real{0} : x[i];
}

PRUNTRAIN_VECTORIZED
void relu_gradient(std::span<const real> y, const real* dy, real* dx) {
    for (std::size_t i = 0; i < y.size(); ++i) dx[i] = y[i] > 0 ? dy[i] : real{0};
}

}  // namespace pruntrain
