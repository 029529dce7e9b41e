#include "pruntrain/math/elementwise.hpp"

namespace pruntrain {

PRUNTRAIN_VECTORIZED
void fill_rows(std::span<const real> values, index_t width, real* y) {
    real* __restrict line = y;
    for (const real value : values) {
        for (index_t lane = 0; lane < width; ++lane) line[lane] = value;
        line += width;
    }
}

PRUNTRAIN_VECTORIZED
void add_row_sums(const real* x, index_t width, std::span<real> sums) {
    constexpr index_t lanes = 8;   // partial sums, so that the loop vectorizes; divides every tile width
    constexpr index_t chains = 2;  // independent chains, so that an addition does not wait for the previous one
    const real* line = x;
    for (real& sum : sums) {
        real partial[chains][lanes] = {};
        index_t begin = 0;
        for (; begin + chains * lanes <= width; begin += chains * lanes)
            for (index_t chain = 0; chain < chains; ++chain)
                for (index_t lane = 0; lane < lanes; ++lane) partial[chain][lane] += line[begin + chain * lanes + lane];
        for (; begin < width; begin += lanes)
            for (index_t lane = 0; lane < lanes; ++lane) partial[0][lane] += line[begin + lane];
        for (index_t chain = 1; chain < chains; ++chain)
            for (index_t lane = 0; lane < lanes; ++lane) partial[0][lane] += partial[chain][lane];
        for (const real one : partial[0]) sum += one;
        line += width;
    }
}

PRUNTRAIN_VECTORIZED
void add(std::span<const real> x, real* y) {
    real* __restrict sum = y;
    for (std::size_t i = 0; i < x.size(); ++i) sum[i] += x[i];
}

PRUNTRAIN_VECTORIZED
void relu(std::span<const real> x, real* y) {
    for (std::size_t i = 0; i < x.size(); ++i) y[i] = x[i] < 0 ? real{0} : x[i];
}

PRUNTRAIN_VECTORIZED
void relu_gradient(std::span<const real> y, const real* dy, real* dx) {
    for (std::size_t i = 0; i < y.size(); ++i) {
        const real slope = dy[i];
        dx[i] = y[i] > 0 ? slope : real{0};
    }
}

}  // namespace pruntrain
