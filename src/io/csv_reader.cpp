#include "pruntrain/io/csv_reader.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

constexpr std::string_view blanks = " \t\r";

std::string_view trimmed(std::string_view word) {
    word.remove_prefix(std::min(word.find_first_not_of(blanks), word.size()));
    return word.substr(0, word.find_last_not_of(blanks) + 1);
}

std::optional<double> to_number(std::string_view word) {
    double value = 0;  // as float, 1e-50 would be out of range
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || end != word.data() + word.size() || !std::isfinite(static_cast<float>(value)))
        return std::nullopt;
    return value;
}

void for_each_word(std::string_view line, char separator, const std::function<void(std::string_view)>& take) {
    for (;;) {
        const auto end = std::min(line.find(separator), line.size());
        take(trimmed(line.substr(0, end)));
        if (end == line.size()) return;
        line.remove_prefix(end + 1);
    }
}

}  // namespace

CsvReader::CsvReader(std::string path, char separator) : path_(std::move(path)), separator_(separator) {
    for_each_line([&](index_t number, std::string_view line) {
        const index_t columns = 1 + std::count(line.begin(), line.end(), separator_);
        if (rows_ == 0) columns_ = columns;
        if (columns != columns_)
            input_error("'", path_, "' line ", number, " has ", columns, " columns, the lines before have ", columns_);
        ++rows_;
    });
    if (rows_ == 0) input_error("'", path_, "' has no line with values");
}

void CsvReader::read(const std::function<void(index_t row, std::span<const double> numbers)>& take) const {
    std::vector<double> numbers(static_cast<std::size_t>(columns_));
    index_t row = 0;
    for_each_line([&](index_t line_number, std::string_view line) {
        std::size_t column = 0;
        for_each_word(line, separator_, [&](std::string_view word) {
            const auto value = to_number(word);
            if (!value)
                input_error("'", path_, "' line ", line_number, " column ", column + 1, ": '",
                            shown(word.substr(0, 40)), "' is no finite number");
            if (column < numbers.size()) numbers[column] = *value;
            ++column;
        });
        if (row == rows_ || column != numbers.size()) input_error("'", path_, "' has changed while it was read");
        take(row++, numbers);
    });
}

void CsvReader::for_each_line(const std::function<void(index_t number, std::string_view line)>& take) const {
    std::error_code ignored;
    // A pipe would block, and could not be read twice.
    if (!std::filesystem::is_regular_file(path_, ignored)) input_error("cannot read '", path_, "': no such file");
    std::ifstream file(path_);
    if (!file) input_error("cannot read '", path_, "': ", std::strerror(errno));
    bool first = true;
    std::string line;
    for (index_t number = 1; std::getline(file, line); ++number) {
        const auto content = trimmed(line);
        if (content.empty()) continue;
        bool has_number = !std::exchange(first, false);
        if (!has_number)
            for_each_word(content, separator_, [&](auto word) { has_number |= to_number(word).has_value(); });
        if (has_number) take(number, content);
    }
    if (!file.eof()) input_error("cannot read '", path_, "' to the end");
}

}  // namespace pruntrain
