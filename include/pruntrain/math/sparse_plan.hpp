// From a pattern to the order in which the sparse kernels read it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pruntrain/base/types.hpp"
#include "pruntrain/math/pattern.hpp"
#include "pruntrain/math/sparse_kernels.hpp"

namespace pruntrain {

/// Inputs of a panel, of `inputs` in all, each `bytes` of a block: as many as fill three quarters of the first-level
/// cache, more where rows would have too few entries in a panel to pay for loading and storing the row, at most half of
/// the second-level cache. All panels about alike.
index_t panel_inputs(index_t inputs, double density, index_t bytes);

/// The rows of a pattern: for y = W x and for the gradient of W. Packed numbers stay where they are.
/// @param column_offsets  where the input of each column begins
/// @param panel           columns of a panel
SparseEntries plan_rows(const Pattern& pattern, std::span<const std::uint32_t> column_offsets, index_t panel);

/// The columns of a pattern as rows, for dx = W^T dy, with their values in that order.
struct TransposedEntries {
    SparseEntries entries;
    std::vector<std::uint32_t> sources;  ///< packed number of each value
    AlignedVector<real> values;

    /// Fetches the values anew from the packed numbers: once a step.
    void refresh(std::span<const real> packed);
    std::size_t bytes() const;
};

/// Several columns may share a row of the result: the taps of a convolution's window.
/// @param rows            rows of the result
/// @param row_of_column   the row of the result that a column's entries belong to; -1: left out
/// @param column_offsets  the input of entry (i,j) begins at i * input_stride + column_offsets[j]
/// @param panel           rows of the pattern in a panel
TransposedEntries plan_columns(const Pattern& pattern, index_t rows, std::span<const std::int32_t> row_of_column,
                               std::span<const std::uint32_t> column_offsets, index_t input_stride, index_t panel);

}  // namespace pruntrain
