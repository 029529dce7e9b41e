#include "pruntrain/math/sparse_plan.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "pruntrain/base/error.hpp"
#include "pruntrain/math/cache.hpp"
#include "pruntrain/math/sparse_kernels.hpp"

namespace pruntrain {

namespace {

constexpr index_t most_number = std::numeric_limits<std::uint32_t>::max();

/// A segment before it is placed in its panel. `begin` is the position of its entries.
struct Found {
    index_t row;
    index_t begin;
    index_t length;
};

/// Orders the segments of a panel for the kernels and calls place(found) for each.
template <class Place>
void add_panel(std::vector<Found>& found, bool first_panel, SparseEntries& entries, Place place) {
    if (!first_panel) std::erase_if(found, [](const Found& segment) { return segment.length == 0; });
    std::stable_sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.length > b.length; });
    index_t previous = -1;
    for (const Found& segment : found) {
        if (segment.length != previous) {
            entries.runs.push_back({0, static_cast<std::uint32_t>(segment.length), first_panel});
            previous = segment.length;
        }
        ++entries.runs.back().segments;
        place(segment);
    }
}

void shrink(SparseEntries& entries) {
    entries.offsets.shrink_to_fit();
    entries.segments.shrink_to_fit();
    entries.runs.shrink_to_fit();
}

/// A full pattern has no arrays: one column list serves all rows.
class Columns {
   public:
    explicit Columns(const Pattern& pattern) : pattern_(pattern) {}

    index_t begin(index_t row) const {
        return pattern_.full() ? row * pattern_.columns() : pattern_.row_pointers()[row];
    }
    index_t end(index_t row) const { return begin(row + 1); }
    index_t column(index_t row, index_t k) const {
        return pattern_.full() ? k - row * pattern_.columns() : pattern_.column_indices()[k];
    }

   private:
    const Pattern& pattern_;
};

}  // namespace

index_t panel_inputs(index_t inputs, double density, index_t bytes) {
    // Measured on Zen 3 and Emerald Rapids: with fewer entries per segment, loading and storing the row costs time. The
    // last quarter of the cache is for the rows and the packed values.
    constexpr double entries = 12;
    const auto enough = static_cast<index_t>(std::ceil(entries / std::max(density, 1e-6)));
    const index_t near = first_level_cache_bytes() / 4 * 3 / bytes;
    const index_t most = std::max<index_t>(1, second_level_cache_bytes() / 2 / bytes);
    const index_t panel = std::clamp<index_t>(std::max(near, enough), 1, most);
    const index_t panels = (inputs + panel - 1) / panel;
    return (inputs + panels - 1) / panels;
}

SparseEntries plan_rows(const Pattern& pattern, std::span<const std::uint32_t> column_offsets, index_t panel) {
    if (pattern.kept() > most_number)
        fault("a layer has ", pattern.kept(), " remaining weights: sparse execution allows at most ", most_number);
    const Columns columns(pattern);
    SparseEntries entries;
    std::vector<index_t> next(
        static_cast<std::size_t>(pattern.rows()));  // first entry of a row that is not yet in a panel
    for (index_t row = 0; row < pattern.rows(); ++row) next[row] = columns.begin(row);
    std::vector<Found> found;
    for (index_t first = 0; first < pattern.columns(); first += panel) {
        found.clear();
        for (index_t row = 0; row < pattern.rows(); ++row) {
            const index_t begin = next[row];
            while (next[row] < columns.end(row) && columns.column(row, next[row]) < first + panel) ++next[row];
            found.push_back({row, begin, next[row] - begin});
        }
        add_panel(found, first == 0, entries, [&](const Found& segment) {
            entries.segments.push_back(
                {static_cast<std::uint32_t>(segment.row), static_cast<std::uint32_t>(segment.begin)});
            for (index_t k = segment.begin; k < segment.begin + segment.length; ++k)
                entries.offsets.push_back(column_offsets[columns.column(segment.row, k)]);
        });
    }
    shrink(entries);
    return entries;
}

TransposedEntries plan_columns(const Pattern& pattern, index_t rows, std::span<const std::int32_t> row_of_column,
                               std::span<const std::uint32_t> column_offsets, index_t input_stride, index_t panel) {
    if (pattern.rows() * input_stride > most_number)
        fault("a layer has ", pattern.rows(), " outputs: sparse execution allows at most ", most_number / input_stride);
    const Columns columns(pattern);
    TransposedEntries transposed;
    SparseEntries& entries = transposed.entries;
    struct Entry {
        std::uint32_t offset, source;
    };
    std::vector<Entry> sorted;  // of a panel, by row of the result
    std::vector<index_t> next;  // position of the next entry of each row
    std::vector<Found> found;
    for (index_t first = 0; first < pattern.rows(); first += panel) {
        const index_t last = std::min(first + panel, pattern.rows());
        const auto for_each_entry = [&](auto work) {
            for (index_t i = first; i < last; ++i)
                for (index_t k = columns.begin(i); k < columns.end(i); ++k) {
                    const index_t column = columns.column(i, k);
                    if (row_of_column[column] >= 0) work(i, k, column);
                }
        };
        std::vector<index_t> counts(rows, 0);
        for_each_entry([&](index_t, index_t, index_t column) { ++counts[row_of_column[column]]; });
        found.clear();
        next.clear();
        index_t begin = 0;
        for (index_t row = 0; row < rows; ++row) {
            found.push_back({row, begin, counts[row]});
            next.push_back(begin);
            begin += counts[row];
        }
        sorted.resize(begin);
        for_each_entry([&](index_t i, index_t k, index_t column) {
            sorted[next[row_of_column[column]]++] = {
                static_cast<std::uint32_t>(i * input_stride) + column_offsets[column], static_cast<std::uint32_t>(k)};
        });
        add_panel(found, first == 0, entries, [&](const Found& segment) {
            entries.segments.push_back(
                {static_cast<std::uint32_t>(segment.row), static_cast<std::uint32_t>(transposed.sources.size())});
            for (index_t k = segment.begin; k < segment.begin + segment.length; ++k) {
                entries.offsets.push_back(sorted[k].offset);
                transposed.sources.push_back(sorted[k].source);
            }
        });
    }
    shrink(entries);
    transposed.sources.shrink_to_fit();
    transposed.values.resize(transposed.sources.size());
    return transposed;
}

PRUNTRAIN_VECTORIZED
void TransposedEntries::refresh(std::span<const real> packed) {
    const std::uint32_t* const from = sources.data();
    real* const to = values.data();
    for (std::size_t k = 0; k < sources.size(); ++k) to[k] = packed[from[k]];
}

std::size_t TransposedEntries::bytes() const {
    return entries.bytes() + sources.size() * sizeof(std::uint32_t) + values.size() * sizeof(real);
}

}  // namespace pruntrain
