#include "src/data/csv_index.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <span>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/io/csv_number.hpp"
#include "src/data/csv_columns.hpp"

namespace pruntrain {

namespace {

constexpr const char* unnamed_index = "Unnamed: 0";  // pandas, of an index column that it read back

/// Whether a name is that of a column which counts the samples.
bool is_name_of_index(const std::string& name) {
    constexpr std::array<std::string_view, 8> names{"id", "index", "idx", "no", "nr", "row", "row.names", "rownames"};
    std::string word = name;
    for (char& letter : word) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    return std::ranges::find(names, word) != names.end();
}

/// Whether the first rows of a file without names count the samples.
bool counts_rows(const CsvReader& reader) {
    constexpr index_t most = 100;
    IndexCheck index;
    reader.for_each_row([&](index_t row, index_t, std::span<const CsvCell> cells) {
        index.add(cells[0].text);
        return index.counts_by_one() && row < most;
    });
    return index.counts_by_one();
}

/// Whether `one` has the columns of `other`, and an index before them.
bool has_index_before(const CsvReader& one, const CsvReader& other) {
    const CsvLayout &with = one.layout(), &without = other.layout();
    if (with.columns != without.columns + 1) return false;
    if (with.names.empty() || without.names.empty()) return has_unnamed_index(with) || counts_rows(one);
    return std::ranges::equal(std::span(with.names).subspan(1), without.names) &&
           (has_unnamed_index(with) || is_name_of_index(with.names[0]) || counts_rows(one));
}

}  // namespace

bool has_unnamed_index(const CsvLayout& layout) {
    return !layout.names.empty() && (layout.names[0].empty() || layout.names[0] == unnamed_index);
}

void IndexCheck::add(std::string_view word) {
    if (!increases_) return;
    const auto value = word.size() < 10 && is_index(word) ? std::optional(std::stol(std::string(word))) : std::nullopt;
    if (rows_ == 0) first_ = value.value_or(0);
    increases_ = value && (rows_ == 0 || *value > last_);
    if (by_one_ && !(increases_ && (rows_ == 0 || *value == last_ + 1))) {
        by_one_ = false;
        break_ = word;
        if (rows_ > 0) before_break_ = std::to_string(last_);
    }
    last_ = value.value_or(0);
    ++rows_;
}

void IndexCheck::refuse_index(const CsvReader& reader) const {
    constexpr index_t few = 5;  // rows that may count by chance
    const auto& names = reader.layout().names;
    if (!increases_ || rows_ < few) return;
    if (by_one_ && first_ <= 1) refuse_index_column(reader, text("counts up to ", last_));
    if (!names.empty() && is_name_of_index(names[0])) refuse_index_column(reader, "increases by whole numbers");
}

void IndexCheck::require_index(const CsvReader& reader) const {
    const auto& names = reader.layout().names;
    if (by_one_ || (!names.empty() && is_name_of_index(names[0]))) return;
    input_error("data.index_column is drop, but ", reader.column_text(0), " of '", reader.path(),
                "' is no index: it has ", names.empty() ? "" : "a name, and ", "the value ", quoted(break_),
                before_break_.empty() ? "" : text(" after '", before_break_, "'"),
                ", while an index has no name, or counts by one: leave data.index_column out, and to leave out the "
                "column set data.leave_out=[",
                key_of_column(reader, 0), "]");
}

void refuse_index_column(const CsvReader& reader, const std::string& why) {
    input_error("'", reader.path(), "' ", reader.column_text(0), " ", why,
                ", so it seems to count the samples (as the index of pandas and R): set data.index_column=drop, or "
                "data.index_column=keep if it is an input");
}

std::string key_of_column(const CsvReader& reader, std::size_t column) {
    const auto& names = reader.layout().names;
    const bool writes = column < names.size() && !names[column].empty() && is_plain_text(names[column]) &&
                        names[column].find_first_of(",[]{}'\"#:") == std::string::npos;
    return writes ? names[column] : text(column + 1);
}

void check_same_columns(const CsvReader& first, const CsvReader& other) {
    const CsvLayout &one = first.layout(), &two = other.layout();
    const auto only_in = [](const CsvReader& with, const CsvReader& without) {
        input_error("'", with.path(), "' has an index, ", with.column_text(0), ", and '", without.path(),
                    "' has none: files read together need the same columns; write both files with an index or both "
                    "without one (pandas: index=False, R: row.names=FALSE)");
    };
    if (has_index_before(first, other)) only_in(first, other);
    if (has_index_before(other, first)) only_in(other, first);
    const auto differ = [&](const auto&... how) {
        input_error("'", other.path(), "' has other columns than '", first.path(), "': ", how...,
                    "; files read together need the same columns in the same order");
    };
    if (one.columns != two.columns) differ(two.columns, " instead of ", one.columns);
    for (std::size_t i = 0; i < std::min(one.names.size(), two.names.size()); ++i)
        if (one.names[i] != two.names[i]) differ(quoted(two.names[i]), " instead of ", quoted(one.names[i]));
}

}  // namespace pruntrain
