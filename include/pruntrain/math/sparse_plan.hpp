// Converts a pattern to the order in which the sparse kernels read it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pruntrain/base/types.hpp"
#include "pruntrain/math/pattern.hpp"
#include "pruntrain/math/sparse_kernels.hpp"

namespace pruntrain {

/// Number of inputs in a panel, of `inputs` in total, each with `bytes` per block. A panel fills three quarters of the
/// L1 cache. It is larger if rows would have too few entries per panel to amortize loading and storing the row, at most
/// half of the L2 cache. All panels have about equal sizes.
index_t panel_inputs(index_t inputs, double density, index_t bytes);

/// The rows of a pattern: for y = W x and for the gradient of W. Packed values stay in place.
/// @param column_offsets  input offset of each column
/// @param panel           columns of a panel
SparseEntries plan_rows(const Pattern& pattern, std::span<const std::uint32_t> column_offsets, index_t panel);

/// The columns of a pattern as rows, for dx = W^T dy, with their values in that order.
struct TransposedEntries {
    SparseEntries entries;
    std::vector<std::uint32_t> sources;  ///< packed position of each value
    AlignedVector<real> values;

    /// Reloads the values from the packed values: once per step.
    void refresh(std::span<const real> packed);
    std::size_t bytes() const;
};

/// Several columns may share a row of the result: the taps of a convolution window.
/// @param rows            rows of the result
/// @param row_of_column   the row of the result to which a column contributes; -1: ignored
/// @param column_offsets  the input of entry (i,j) begins at i * input_stride + column_offsets[j]
/// @param panel           rows of the pattern in a panel
TransposedEntries plan_columns(const Pattern& pattern, index_t rows, std::span<const std::int32_t> row_of_column,
                               std::span<const std::uint32_t> column_offsets, index_t input_stride, index_t panel);

}  // namespace pruntrain
