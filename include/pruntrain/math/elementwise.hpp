// Simple vectorized loops that layers share. Rows of a tile have `width` samples each.
#pragma once

#include <span>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// y (rows, width): every element of row i becomes values[i].
void fill_rows(std::span<const real> values, index_t width, real* y);

/// sums[i] += the sum of row i of x (rows, width).
void add_row_sums(const real* x, index_t width, std::span<real> sums);

/// y += x.
void add(std::span<const real> x, real* y);

/// y = max(x, 0); NaN stays NaN. May be in place.
void relu(std::span<const real> x, real* y);
/// dx = dy where y > 0, else 0. May be in place.
void relu_gradient(std::span<const real> y, const real* dy, real* dx);

}  // namespace pruntrain
