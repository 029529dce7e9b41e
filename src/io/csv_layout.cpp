#include "src/io/csv_layout.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <tuple>
#include <utility>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/io/csv_number.hpp"

namespace pruntrain {

namespace {

constexpr std::size_t most_rows = 100;
constexpr std::string_view separators = ",;\t| ";  // in the order of preference

struct Cell {
    std::string text;
    bool quoted;
};

struct Row {
    index_t line;
    std::vector<Cell> cells;
};

CsvLexer::Bytes bytes_of(std::string_view text) {
    return [text](std::span<char> bytes) mutable {
        const std::size_t count = text.copy(bytes.data(), bytes.size());
        text.remove_prefix(count);
        return count;
    };
}

std::vector<Row> first_rows(const TextFile& file, const std::string& path, const CsvFormat& format) {
    std::string_view head = file.head();
    if (!file.is_whole()) head = head.substr(0, head.rfind(file.line_end()) + 1);
    CsvLexer lexer(bytes_of(head), path, format, file.line_end());
    std::vector<Row> rows;
    try {
        while (rows.size() < most_rows && lexer.next()) {
            rows.push_back({lexer.line(), {}});
            for (const CsvCell& cell : lexer.cells())
                rows.back().cells.push_back({std::string(cell.text), cell.quoted});
            if (rows.size() == 1) lexer.skip_lines(format.skip_after_heading);
        }
    } catch (const InputError&) {
        if (file.is_whole() || rows.size() < 2) throw;  // else the head may end within quotes
    }
    return rows;
}

/// Whether the separator leaves something in a cell that looks like another separator.
bool is_clean(const Cell& cell, char separator) {
    if (cell.quoted || (separator != ',' && has_decimal_comma(cell.text))) return true;
    if (cell.text.find_first_of(",;\t|") != std::string::npos) return false;
    const auto first = cell.text.find(' '), last = cell.text.rfind(' ');
    return first == std::string::npos || !csv_number(cell.text.substr(0, first), false) ||
           !csv_number(cell.text.substr(last + 1), false);
}

/// Smaller is better.
std::tuple<bool, double, bool> misfit(const std::vector<Row>& rows, char separator) {
    const std::size_t columns = rows.back().cells.size();
    std::size_t cells = 0, unclean = 0;
    bool differs = false;
    for (const Row& row : rows) {
        // A heading may have a name fewer or a separator more.
        const std::size_t difference = std::max(row.cells.size(), columns) - std::min(row.cells.size(), columns);
        differs |= difference > (&row == &rows.front() ? 1 : 0);
        cells += row.cells.size();
        for (const Cell& cell : row.cells) unclean += is_clean(cell, separator) ? 0 : 1;
    }
    return {columns < 2, static_cast<double>(unclean) / static_cast<double>(cells), differs};
}

char find_separator(const TextFile& file, const std::string& path, CsvFormat format) {
    char best = ',';
    std::optional<std::tuple<bool, double, bool>> least;
    for (const char separator : separators) {
        if (separator == ',' && format.decimal_comma) continue;
        format.separator = separator;
        std::vector<Row> rows;
        try {
            rows = first_rows(file, path, format);
        } catch (const InputError&) {
            continue;  // its quotes do not fit
        }
        if (rows.empty()) continue;
        const auto found = misfit(rows, separator);
        if (!least || found < *least) std::tie(least, best) = std::pair(found, separator);
    }
    return best;
}

class Heading {
   public:
    Heading(const std::vector<Row>& rows, const CsvFormat& format, const std::string& path)
        : first_(rows.front().cells), rows_(rows), format_(format), path_(path) {}

    /// @throws InputError if one cannot know
    bool is_there() {
        if (format_.heading != CsvHeading::automatic) return format_.heading == CsvHeading::yes;
        const auto count = [&](auto has) { return static_cast<std::size_t>(std::ranges::count_if(first_, has)); };
        const auto is_number = [&](const Cell& cell) { return this->is_number(cell); };
        const std::size_t numbers = count(is_number);
        const std::size_t words = count([&](const Cell& cell) { return !is_number(cell) && !is_missing(cell.text); });
        if (numbers == 0) return words > 0;
        if (rows_.size() < 2) return false;
        if (count([](const Cell& cell) { return cell.quoted; }) == first_.size() && first_.size() > 1 &&
            !all_quoted(rows_[1]))
            return true;  // programs that quote words quote names, and not numbers
        if (words == 0) return is_counting_heading();
        const std::size_t over_numbers = words_over_numbers();
        if (over_numbers == 0 || count([&](const Cell& cell) { return is_missing(cell.text); }) > 0) return false;
        if (numbers != count([](const Cell& cell) { return is_index(cell.text); })) return false;  // 1.5 is no name
        if (over_numbers >= 2) return true;
        ambiguous(text("has numbers, and a word in a column of numbers"));
    }

    /// The first line is no heading, but its numbers may be names of columns: 2019,2020,class above words.
    bool is_uncertain() const {
        return format_.heading == CsvHeading::automatic && !has_point(rows_.front()) && rows_.size() > 1 &&
               has_point(rows_[1]);
    }

   private:
    static bool has_point(const Row& row) {
        return std::ranges::any_of(row.cells,
                                   [](const Cell& cell) { return cell.text.find_first_of(".,") != std::string::npos; });
    }

    bool is_number(const Cell& cell) const { return csv_number(cell.text, format_.decimal_comma).has_value(); }

    static bool all_quoted(const Row& row) {
        return std::ranges::all_of(row.cells, [](const Cell& cell) { return cell.quoted; });
    }

    /// 0,1,2,3: written by pandas for columns without names; also 2019,2020,2021. An empty name is that of an index.
    bool is_counting_heading() const {
        const bool index = first_.front().text.empty();
        if (!counts(first_, index ? 1 : 0) || counts(rows_[1].cells, 0)) return false;
        if (index) return !rows_[1].cells.front().text.empty();
        constexpr std::size_t many = 6;  // columns, in which whole values do not count by chance
        if (first_.size() < many && std::none_of(rows_.begin() + 1, rows_.end(), has_point)) return false;
        if (first_.size() == 2 && !all_points(0)) return false;
        ambiguous(text("counts ", first_.front().text, ", ", first_[1].text, ", ..."));
    }

    static bool counts(const std::vector<Cell>& cells, std::size_t begin) {
        index_t last = 0;
        for (std::size_t i = begin; i < cells.size(); ++i) {
            const std::string& word = cells[i].text;
            index_t value = 0;
            if (!is_index(word) || word.size() > 9) return false;
            std::from_chars(word.data(), word.data() + word.size(), value);
            if (i > begin && value != last + 1) return false;
            last = value;
        }
        return cells.size() - begin >= 2;
    }

    /// Whether no value below the first line is written as a whole number.
    bool all_points(std::size_t column) const {
        return std::all_of(rows_.begin() + 1, rows_.end(), [&](const Row& row) {
            return column < row.cells.size() && !is_index(row.cells[column].text);
        });
    }

    std::size_t words_over_numbers() const {
        std::size_t found = 0;
        for (std::size_t column = 0; column < first_.size(); ++column)
            if (!is_number(first_[column]) && !is_missing(first_[column].text))
                found += std::all_of(rows_.begin() + 1, rows_.end(), [&](const Row& row) {
                    return column < row.cells.size() && is_number(row.cells[column]);
                });
        return found;
    }

    [[noreturn]] void ambiguous(const std::string& what) const {
        input_error("'", path_, "' line ", rows_.front().line, " ", what,
                    ": set data.header=yes if it has the names of "
                    "the columns, and data.header=no if it is a sample");
    }

    const std::vector<Cell>& first_;
    const std::vector<Row>& rows_;
    const CsvFormat& format_;
    const std::string& path_;
};

/// Names in the comment before the first row, as numpy.savetxt writes its header.
std::vector<std::string> names_in_comment(const TextFile& file, const std::string& path, CsvFormat format) {
    std::vector<std::string> names;
    const std::string comment = std::exchange(format.comment, "");
    for (const Row& row : first_rows(file, path, format)) {
        std::string word = row.cells.front().text;
        if (row.cells.front().quoted || comment.empty() || !word.starts_with(comment)) break;
        names.clear();
        word.erase(0, std::min(word.find_first_not_of(" \t", comment.size()), word.size()));
        if (!word.empty()) names.push_back(word);
        for (std::size_t i = 1; i < row.cells.size(); ++i) names.push_back(row.cells[i].text);
    }
    return names;
}

/// Counts columns that are empty in all rows, from the last on.
std::size_t empty_columns(const std::vector<Row>& rows, std::size_t begin) {
    std::size_t least = rows[begin].cells.size() - 1;
    for (std::size_t i = begin; i < rows.size(); ++i) {
        const auto& cells = rows[i].cells;
        std::size_t empty = 0;
        while (empty < cells.size() && cells[cells.size() - 1 - empty].text.empty()) ++empty;
        least = std::min(least, empty);
    }
    return least;
}

}  // namespace

CsvLayout find_layout(const TextFile& file, const std::string& path, const CsvFormat& given) {
    CsvFormat format = given;
    if (format.separator == CsvFormat::automatic) format.separator = find_separator(file, path, format);
    const std::vector<Row> rows = first_rows(file, path, format);
    if (rows.empty()) input_error("'", path, "' has no line with values");
    CsvLayout layout;
    layout.separator = format.separator;
    layout.line_end = file.line_end();
    const auto& first = rows.front().cells;
    Heading heading(rows, format, path);
    if (format.heading == CsvHeading::yes && given.skip_after_heading == 0)
        layout.names = names_in_comment(file, path, format);
    const auto is_number = [&](const Cell& cell) { return csv_number(cell.text, given.decimal_comma).has_value(); };
    if (layout.names.size() == first.size() && std::ranges::any_of(first, is_number)) {
        layout.columns = first.size();
        return layout;
    }
    layout.names.clear();
    layout.has_heading = heading.is_there();
    layout.heading_is_uncertain = !layout.has_heading && heading.is_uncertain();
    const std::size_t begin = layout.has_heading ? 1 : 0;
    if (begin == rows.size()) input_error("'", path, "' has no line with values after the line of names");
    const std::size_t columns = rows[begin].cells.size();
    std::size_t empty = empty_columns(rows, begin);
    if (!layout.has_heading) {
        layout.empty_columns = empty;
        layout.columns = columns - empty;
        return layout;
    }
    for (const Cell& cell : first) layout.names.push_back(cell.text);
    while (layout.names.size() > 1 && layout.names.size() + empty > columns && layout.names.back().empty())
        layout.names.pop_back();
    empty = columns > layout.names.size() ? std::min(empty, columns - layout.names.size()) : 0;
    layout.empty_columns = empty;
    layout.columns = columns - empty;
    layout.has_row_names = layout.names.size() + 1 == layout.columns;
    if (layout.has_row_names) layout.names.insert(layout.names.begin(), "");
    if (layout.names.size() != layout.columns)
        input_error("'", path, "' line ", rows[begin].line, " has ", layout.columns,
                    " columns, but the heading in line ", rows.front().line, " has ", layout.names.size(),
                    ": set data.separator, or data.skip_lines for lines before the heading");
    return layout;
}

}  // namespace pruntrain
