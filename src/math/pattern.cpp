#include "pruntrain/math/pattern.hpp"

#include <algorithm>
#include <limits>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

Pattern::Pattern(index_t rows, index_t columns) : rows_(rows), columns_(columns) {
    if (columns > std::numeric_limits<std::int32_t>::max())
        fault("a matrix has ", columns, " columns: allowed are at most 2^31 - 1");
}

Pattern::Pattern(index_t rows, index_t columns, std::vector<index_t> row_pointers,
                 std::vector<std::int32_t> column_indices)
    : rows_(rows),
      columns_(columns),
      full_(false),
      row_pointers_(std::move(row_pointers)),
      column_indices_(std::move(column_indices)) {
    if (static_cast<index_t>(row_pointers_.size()) != rows + 1 || row_pointers_.front() != 0 ||
        row_pointers_.back() != static_cast<index_t>(column_indices_.size()) ||
        !std::is_sorted(row_pointers_.begin(), row_pointers_.end()))
        fault("the row pointers of a sparse matrix do not ascend from 0 to its ", column_indices_.size(), " values");
    for (index_t row = 0; row < rows; ++row) {
        index_t previous = -1;
        for (index_t k = row_pointers_[row]; k < row_pointers_[row + 1]; ++k) {
            if (column_indices_[k] <= previous || column_indices_[k] >= columns)
                fault("row ", row, " of a sparse matrix has column ", column_indices_[k],
                      ": columns must ascend and stay below ", columns);
            previous = column_indices_[k];
        }
    }
}

std::vector<index_t> Pattern::row_sizes() const {
    std::vector<index_t> sizes;
    for (index_t row = 0; row < rows_; ++row) sizes.push_back(kept_before(row + 1) - kept_before(row));
    return sizes;
}

std::vector<std::int32_t> Pattern::all_columns() const {
    std::vector<std::int32_t> columns(kept());
    for_each_position(
        [&](index_t k, index_t position) { columns[k] = static_cast<std::int32_t>(position % columns_); });
    return columns;
}

std::vector<index_t> Pattern::pointers_of(std::span<const index_t> row_sizes) {
    std::vector<index_t> pointers{0};
    for (const index_t size : row_sizes) pointers.push_back(pointers.back() + size);
    return pointers;
}

void Pattern::keep(std::span<const std::uint8_t> keep) {
    const auto count =
        static_cast<index_t>(std::count_if(keep.begin(), keep.end(), [](auto flag) { return flag != 0; }));
    if (count == kept()) return;
    std::vector<index_t> pointers(static_cast<std::size_t>(rows_) + 1, 0);
    std::vector<std::int32_t> columns;
    columns.reserve(count);
    for (index_t row = 0; row < rows_; ++row) {
        const index_t begin = full_ ? row * columns_ : row_pointers_[row];
        const index_t end = full_ ? begin + columns_ : row_pointers_[row + 1];
        for (index_t k = begin; k < end; ++k)
            if (keep[k]) columns.push_back(full_ ? static_cast<std::int32_t>(k - begin) : column_indices_[k]);
        pointers[row + 1] = static_cast<index_t>(columns.size());
    }
    full_ = false;
    row_pointers_ = std::move(pointers);
    column_indices_ = std::move(columns);
}

std::vector<index_t> Pattern::dense_positions() const {
    std::vector<index_t> positions(kept());
    for_each_position([&](index_t k, index_t position) { positions[k] = position; });
    return positions;
}

void Pattern::scatter(std::span<const real> packed, real* dense) const {
    if (full_) {
        std::copy(packed.begin(), packed.end(), dense);
        return;
    }
    for (index_t row = 0; row < rows_; ++row) {
        real* const line = dense + row * columns_;
        for (index_t k = row_pointers_[row]; k < row_pointers_[row + 1]; ++k) line[column_indices_[k]] = packed[k];
    }
}

void Pattern::gather(const real* dense, std::span<real> packed) const {
    if (full_) {
        std::copy_n(dense, packed.size(), packed.begin());
        return;
    }
    for (index_t row = 0; row < rows_; ++row) {
        const real* const line = dense + row * columns_;
        for (index_t k = row_pointers_[row]; k < row_pointers_[row + 1]; ++k) packed[k] = line[column_indices_[k]];
    }
}

std::size_t Pattern::index_bytes() const {
    return row_pointers_.size() * sizeof(index_t) + column_indices_.size() * sizeof(std::int32_t);
}

std::vector<index_t> sizes_in_blocks(const Pattern& pattern, std::span<const index_t> offsets) {
    const std::size_t blocks = offsets.size() - 1, rows = static_cast<std::size_t>(pattern.rows());
    std::vector<index_t> sizes(blocks * rows);
    const std::vector<std::int32_t> columns = pattern.all_columns();
    for (std::size_t row = 0; row < rows; ++row) {
        auto begin = columns.begin() + pattern.kept_before(static_cast<index_t>(row));
        const auto end = columns.begin() + pattern.kept_before(static_cast<index_t>(row) + 1);
        for (std::size_t block = 0; block < blocks; ++block) {
            const auto next = std::lower_bound(begin, end, offsets[block + 1]);
            sizes[block * rows + row] = next - begin;
            begin = next;
        }
    }
    return sizes;
}

std::vector<index_t> row_sizes_side_by_side(std::span<const index_t> sizes, index_t rows) {
    std::vector<index_t> of_rows(rows);
    for (std::size_t i = 0; i < sizes.size(); ++i) of_rows[i % of_rows.size()] += sizes[i];
    return of_rows;
}

std::vector<index_t> places_side_by_side(std::span<const index_t> sizes, index_t rows) {
    std::vector<index_t> next = Pattern::pointers_of(row_sizes_side_by_side(sizes, rows)), places;
    places.reserve(next.back());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        index_t& place = next[i % static_cast<std::size_t>(rows)];
        for (index_t k = 0; k < sizes[i]; ++k) places.push_back(place++);
    }
    return places;
}

}  // namespace pruntrain
