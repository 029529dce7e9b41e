#include "src/data/csv_columns.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/io/csv_number.hpp"
#include "src/data/csv_index.hpp"

namespace pruntrain {

namespace {

std::string list_of(const std::vector<std::string>& names) {
    constexpr std::size_t most = 20;
    std::vector<std::string> words;
    for (std::size_t i = 0; i < std::min(names.size(), most); ++i) words.push_back(shown(names[i].substr(0, 40)));
    return join(words) + (names.size() > most ? text(", ... (", names.size(), " columns)") : "");
}

/// A column by its name, or by its number from 1.
std::size_t find_column(const CsvReader& reader, const std::string& key, const std::string& word) {
    const CsvLayout& layout = reader.layout();
    const auto wrong = [&](const auto&... reason) {
        input_error("data.", key, " is '", shown(word), "', but '", reader.path(), "' ", reason...);
    };
    std::optional<std::size_t> named, numbered;
    for (std::size_t i = 0; i < layout.names.size(); ++i) {
        if (layout.names[i] != word) continue;
        if (named) wrong("has two columns of this name: use the number of the column, or rename it");
        named = i;
    }
    // A checkpoint stores the names of the inputs, which may look like numbers.
    if (named && key == "inputs") return *named;
    std::size_t number = 0;
    if (is_index(word) && word.size() < 10) std::from_chars(word.data(), word.data() + word.size(), number);
    if (number >= 1 && number <= layout.columns) numbered = number - 1;
    if (named && numbered && *named != *numbered)
        wrong("has that name in column ", *named + 1, " and another in column ", number,
              ": rename the columns, or set data.skip_lines=1 data.header=no and use numbers");
    if (!named && numbered) named = numbered;
    if (named && layout.has_row_names && *named == 0) wrong("has names of rows there, which are no values");
    if (named) return *named;
    const char* by_place = key == "inputs" ? "; data.inputs=[] takes the columns by their places" : "";
    if (layout.names.empty())
        wrong("has no heading: use a number from 1 to ", layout.columns,
              ", or set data.header=yes if the first line has names", by_place);
    const std::string near = nearest(word, layout.names);
    wrong("has no such column", near.empty() ? "" : text(" (did you mean '", shown(near), "'?)"), ": its columns are ",
          list_of(layout.names), by_place);
    return 0;
}

std::vector<std::size_t> find_columns(const CsvReader& reader, const std::string& key,
                                      const std::vector<std::string>& words) {
    std::vector<std::size_t> columns;
    std::set<std::size_t> found;
    for (const std::string& word : words) {
        columns.push_back(find_column(reader, key, word));
        if (!found.insert(columns.back()).second) input_error("data.", key, " has column ", shown(word), " twice");
    }
    return columns;
}

}  // namespace

std::string quoted(std::string_view word) { return "'" + shown(word.substr(0, 40)) + "'"; }

CsvColumns choose_columns(const CsvReader& reader, const CsvKeys& keys) {
    const CsvLayout& layout = reader.layout();
    const bool by_inputs = !keys.inputs.empty();
    CsvColumns columns;
    columns.inputs = find_columns(reader, "inputs", keys.inputs);
    const auto left_out = by_inputs ? columns.inputs : find_columns(reader, "leave_out", keys.leave_out);
    std::set<std::size_t> out(left_out.begin(), left_out.end());
    const bool names_index = layout.has_row_names || has_unnamed_index(layout);
    const bool drops = keys.index_column == IndexColumn::drop && !by_inputs && !out.contains(0);
    if (layout.has_row_names || drops) out.insert(0);
    std::vector<std::size_t> left;
    for (std::size_t column = 0; column < layout.columns; ++column)
        if (!out.contains(column)) left.push_back(column);

    const bool first = keys.target.front() == "first";
    if (!keys.has_targets) {
        for (const std::string& word : keys.target)
            if (const auto named = std::ranges::find(layout.names, word); named != layout.names.end())
                std::erase(left, static_cast<std::size_t>(named - layout.names.begin()));
    } else if (first || keys.target.front() == "last") {
        const auto count = static_cast<std::size_t>(keys.target_columns);
        const std::size_t taken = std::min(count, left.size());
        if (by_inputs && taken < count)
            input_error("'", reader.path(), "' has ", taken, " columns besides the inputs, and ", count,
                        " should be targets: if it has no targets, evaluate it with --no-targets");
        const auto begin = first ? left.begin() : left.end() - static_cast<std::ptrdiff_t>(taken);
        columns.targets.assign(begin, begin + static_cast<std::ptrdiff_t>(taken));
    } else {
        columns.targets = find_columns(reader, "target", keys.target);
        for (std::size_t i = 0; i < keys.target.size(); ++i)
            if (out.contains(columns.targets[i]))
                input_error("data.target is ", shown(keys.target[i]), ", but ",
                            by_inputs ? "data.inputs has this column too"
                                      : "data.leave_out or data.index_column drops the column");
    }
    if (by_inputs) return columns;
    std::ranges::copy_if(left, std::back_inserter(columns.inputs), [&](std::size_t column) {
        return std::ranges::find(columns.targets, column) == columns.targets.end();
    });
    if (columns.inputs.empty())
        input_error("'", reader.path(), "' has ", layout.columns, layout.columns == 1 ? " column" : " columns",
                    ": none is left for inputs after ", columns.targets.size(), " for targets and ", out.size(),
                    " left out (is data.separator right?)");
    columns.may_be_index =
        keys.index_column == IndexColumn::refuse && columns.inputs.size() > 1 && columns.inputs.front() == 0;
    if (columns.may_be_index && has_unnamed_index(layout)) refuse_index_column(reader, "has no name");
    columns.must_be_index = drops && !names_index;
    return columns;
}

}  // namespace pruntrain
