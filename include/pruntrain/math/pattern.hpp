// The pattern of the non-zeros of a matrix.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// The pattern of a (rows, columns) matrix: full, or the non-zeros in compressed sparse rows (CSR), columns ascending
/// in each row. Packed arrays of a pattern have one element per non-zero, in this order.
// Large because a sparsity pattern offers each caller the one traversal that it needs, without a copy.
class Pattern {
   public:
    Pattern() = default;
    Pattern(index_t rows, index_t columns);  ///< full
    /// @throws std::runtime_error if the pointers do not ascend or a column is out of range or out of order
    Pattern(index_t rows, index_t columns, std::vector<index_t> row_pointers, std::vector<std::int32_t> column_indices);

    index_t rows() const { return rows_; }
    index_t columns() const { return columns_; }
    index_t dense_size() const { return rows_ * columns_; }
    index_t kept() const { return full_ ? dense_size() : static_cast<index_t>(column_indices_.size()); }
    bool full() const { return full_; }

    /// CSR arrays; empty if full.
    std::span<const index_t> row_pointers() const { return row_pointers_; }
    std::span<const std::int32_t> column_indices() const { return column_indices_; }

    /// The full pattern of the same shape.
    Pattern with_all() const { return {rows_, columns_}; }
    /// Number of non-zeros of each row.
    std::vector<index_t> row_sizes() const;
    /// The column of each packed position, also for a full pattern.
    std::vector<std::int32_t> all_columns() const;
    /// Number of packed positions before a row.
    index_t kept_before(index_t row) const { return full_ ? row * columns_ : row_pointers_[row]; }

    /// Removes the packed positions whose flag is 0. @param keep  one flag per non-zero
    void keep(std::span<const std::uint8_t> keep);

    /// Calls work(packed position, row * columns + column) for every packed position.
    template <class Work>
    void for_each_position(Work work) const {
        for_each_position(0, kept(), work);
    }
    /// The same for the packed positions first .. last - 1.
    template <class Work>
    void for_each_position(index_t first, index_t last, Work work) const {
        index_t k = first;
        if (full_) {
            for (; k < last; ++k) work(k, k);
            return;
        }
        index_t row = std::upper_bound(row_pointers_.begin(), row_pointers_.end(), first) - row_pointers_.begin() - 1;
        for (; k < last; ++row)
            for (const index_t end = std::min(last, row_pointers_[row + 1]); k < end; ++k)
                work(k, row * columns_ + column_indices_[k]);
    }
    /// Calls work(packed positions of `other` before this position, whether the next of those is at this position) for
    /// every packed position. @param other  of a matrix of the same shape
    template <class Work>
    void for_each_match(const Pattern& other, Work work) const {
        for (index_t row = 0; row < rows_; ++row) {
            index_t next = other.kept_before(row);
            const index_t next_end = other.kept_before(row + 1), end = kept_before(row + 1);
            for (index_t k = kept_before(row); k < end; ++k) {
                const index_t column = column_of(row, k);
                while (next < next_end && other.column_of(row, next) < column) ++next;
                work(next, next < next_end && other.column_of(row, next) == column);
            }
        }
    }
    /// row * columns + column of all packed positions.
    std::vector<index_t> dense_positions() const;

    /// dense (rows, columns) = packed values at the non-zeros; other elements are not changed.
    void scatter(std::span<const real> packed, real* dense) const;
    /// packed = the elements of dense (rows, columns) at the non-zeros.
    void gather(const real* dense, std::span<real> packed) const;

    /// The row pointers for rows of these sizes.
    static std::vector<index_t> pointers_of(std::span<const index_t> row_sizes);

    std::size_t index_bytes() const;  ///< memory of the CSR arrays

   private:
    index_t column_of(index_t row, index_t k) const { return full_ ? k - row * columns_ : column_indices_[k]; }

    index_t rows_ = 0;
    index_t columns_ = 0;
    bool full_ = true;
    std::vector<index_t> row_pointers_;
    std::vector<std::int32_t> column_indices_;
};

/// Number of packed positions of each row in each block of columns: (block, row).
/// @param offsets  the first column of each block, and the total
std::vector<index_t> sizes_in_blocks(const Pattern& pattern, std::span<const index_t> offsets);
/// Number of packed positions of each row of the whole matrix. @param sizes  (block, row), from `sizes_in_blocks`
std::vector<index_t> row_sizes_side_by_side(std::span<const index_t> sizes, index_t rows);
/// Positions in the whole matrix of the packed elements of column blocks that are stored block after block.
std::vector<index_t> places_side_by_side(std::span<const index_t> sizes, index_t rows);

/// @param places  distinct target positions
template <class T>
std::vector<T> put_in_place(std::span<const T> numbers, std::span<const index_t> places) {
    std::vector<T> placed(numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) placed[places[i]] = numbers[i];
    return placed;
}

}  // namespace pruntrain
