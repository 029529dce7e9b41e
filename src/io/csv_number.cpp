#include "pruntrain/io/csv_number.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <system_error>

namespace pruntrain {

namespace {

bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

enum class Outcome { number, no_number, too_large };

Outcome parse(const char* begin, const char* end, double& number) {
    double value = 0;
    const auto [stop, error] = std::from_chars(begin, end, value);
    if (stop != end || begin == end || error == std::errc::invalid_argument) return Outcome::no_number;
    if (error == std::errc::result_out_of_range) {
        const auto exponent = std::find_if(begin, end, [](char letter) { return letter == 'e' || letter == 'E'; });
        if (exponent == end || exponent + 1 == end || exponent[1] != '-') return Outcome::too_large;
        value = 0;
    }
    number = value;
    return std::isfinite(static_cast<float>(value)) ? Outcome::number
           : std::isfinite(value)                   ? Outcome::too_large
                                                    : Outcome::no_number;
}

constexpr std::size_t longest = 400;  // characters; numbers of more digits than a double has exist

/// Fortran leaves the exponent letter away if the exponent has three digits: 0.15-102. @return its place, 0: none
std::size_t bare_exponent(std::string_view text) {
    if (text.size() < 6) return 0;
    const std::size_t sign = text.size() - 4;
    const bool fits = (text[sign] == '-' || text[sign] == '+') && is_index(text.substr(sign + 1)) &&
                      (is_digit(text[sign - 1]) || text[sign - 1] == '.') &&
                      text.substr(0, sign).find('.') != std::string_view::npos;  // else 2020-101 would be a number
    return fits ? sign : 0;
}

/// As C++ writes it: without a leading plus, with the exponent letter e and a decimal point.
Outcome parse_foreign(std::string_view text, bool decimal_comma, double& number) {
    if (text.size() >= 2 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
    if (text.empty() || text.size() > longest) return Outcome::no_number;
    std::array<char, longest + 2> buffer{};
    std::size_t size = 0;
    const std::size_t exponent = decimal_comma ? 0 : bare_exponent(text);
    for (std::size_t i = 0; i < text.size(); ++i) {
        char letter = text[i];
        if (decimal_comma && letter == '.') return Outcome::no_number;
        if (decimal_comma && letter == ',') letter = '.';
        if ((letter == 'D' || letter == 'd') && i > 0) letter = 'e';
        if (exponent > 0 && i == exponent) buffer[size++] = 'e';
        buffer[size++] = letter;
    }
    return parse(buffer.data(), buffer.data() + size, number);
}

Outcome parse_any(std::string_view text, bool decimal_comma, double& number) {
    Outcome outcome = Outcome::no_number;
    if (!decimal_comma) outcome = parse(text.data(), text.data() + text.size(), number);
    return outcome == Outcome::no_number ? parse_foreign(text, decimal_comma, number) : outcome;
}

std::string lower(std::string_view text) {
    std::string word(text);
    for (char& letter : word) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    return word;
}

/// Digits in groups of three, as 1,234 or 1.234.567, with one kind of separator.
bool has_thousands(std::string_view text, char separator, char decimal) {
    if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
    const auto whole = text.substr(0, text.find(decimal));
    const auto first = whole.find(separator);
    if (first == std::string_view::npos || first == 0 || first > 3 || whole.size() % 4 != first % 4) return false;
    for (std::size_t i = 0; i < whole.size(); ++i)
        if (i % 4 == first % 4 ? whole[i] != separator : !is_digit(whole[i])) return false;
    return true;
}

constexpr const char* no_number = "is no finite number";

}  // namespace

std::optional<double> csv_number(std::string_view text, bool decimal_comma) {
    double number = 0;
    if (!decimal_comma && parse(text.data(), text.data() + text.size(), number) == Outcome::number) return number;
    if (parse_any(text, decimal_comma, number) != Outcome::number) return std::nullopt;
    return number;
}

bool is_missing(std::string_view text) {
    constexpr std::array<std::string_view, 22> words{
        "",       "na",      "n/a",  "<na>",    "nan",     "-nan",     "nan(ind)",  "-nan(ind)",
        "null",   "?",       "inf",  "-inf",    "+inf",    "infinity", "-infinity", "1.#qnan",
        "1.#inf", "-1.#ind", "#n/a", "#value!", "#div/0!", "#ref!"};
    return text.size() <= 9 && std::ranges::find(words, lower(text)) != words.end();
}

bool is_index(std::string_view text) { return !text.empty() && std::ranges::all_of(text, is_digit); }

bool has_decimal_comma(std::string_view text) {
    double number = 0;
    return std::ranges::count(text, ',') == 1 && parse_foreign(text, true, number) == Outcome::number;
}

std::string why_no_number(std::string_view text, bool decimal_comma) {
    const auto contains_only = [&](const char* letters) {
        return !text.empty() && text.find_first_not_of(letters) == std::string_view::npos;
    };
    double number = 0;
    if (is_missing(text))
        return "is no finite number, so the value is missing: remove the line, or replace the value (pandas: dropna, "
               "fillna)";
    if (parse_any(text, decimal_comma, number) == Outcome::too_large)
        return "is no finite number in single precision: allowed is up to 3.4e38 (scale the column)";
    if (!decimal_comma && has_decimal_comma(text))
        return has_thousands(text, ',', '.')
                   ? "is no finite number: write thousands without separators; if this is a decimal comma, set "
                     "data.decimal=comma"
                   : "is no finite number: set data.decimal=comma for decimal commas";
    if (decimal_comma && parse_any(text, false, number) == Outcome::number)
        return "is no finite number, as data.decimal is comma: write thousands without separators, or set "
               "data.decimal=point";
    for (const char separator : {',', '.', '\'', ' ', '_'})
        if (has_thousands(text, separator, separator == '.' ? ',' : '.'))
            return "is no finite number: write thousands without separators";
    if (contains_only("*"))
        return "is no finite number: the field of Fortran's output was too narrow, write with a wider format";
    const auto star = text.find('*');
    if (star != std::string_view::npos && is_index(text.substr(0, star)))
        return "is no finite number: it repeats a value, as Fortran's write(*,*) does; write with a format";
    if (is_date(text)) return "is no finite number, but looks like a date or a time";
    return no_number;
}

bool is_date(std::string_view text) {
    if (text.empty() || !is_digit(text.front())) return false;
    if (text.find_first_not_of("0123456789-/.: TZ+") != std::string_view::npos) return false;
    const auto between_digits = [&](std::size_t i) {
        return i + 1 < text.size() && i > 0 && is_digit(text[i - 1]) && is_digit(text[i + 1]);
    };
    std::size_t parts = 0;
    bool has_time = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (!between_digits(i) || std::string_view("-/.:").find(text[i]) == std::string_view::npos) continue;
        ++parts;
        has_time = has_time || text[i] == ':';
    }
    const bool month = text.size() == 7 && text[4] == '-' && between_digits(4);
    return has_time || parts >= 2 || month;
}

bool is_known_notation(std::string_view text, bool decimal_comma) {
    return why_no_number(text, decimal_comma) != no_number;
}

}  // namespace pruntrain
