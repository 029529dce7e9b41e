#include "src/config/scalars.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

std::optional<index_t> whole_number(const std::string& word) {
    std::string digits = word;
    const bool negative = digits.starts_with('-');
    if (negative || digits.starts_with('+')) digits.erase(0, 1);
    constexpr int decimal = 10, octal = 8, hexadecimal = 16;
    int base = decimal;
    if (digits.starts_with("0o")) base = octal;
    if (digits.starts_with("0x")) base = hexadecimal;
    if (base != decimal) digits.erase(0, 2);
    if (digits.empty() || digits.starts_with('-')) return std::nullopt;
    index_t value = 0;
    const char* const end = digits.data() + digits.size();
    const auto [rest, status] = std::from_chars(digits.data(), end, value, base);
    if (status != std::errc() || rest != end) return std::nullopt;
    return negative ? -value : value;
}

std::string number_hint(const std::string& word) {
    const bool numeric = !word.empty() && std::ranges::any_of(word, [](char c) { return c >= '0' && c <= '9'; }) &&
                         word.find_first_not_of("+-0123456789.,% ") == std::string::npos;
    if (numeric && word.ends_with('%')) return "; write a share of 1, as 0.9 for 90 %";
    if (numeric && word.find(',') != std::string::npos) return "; a number has a decimal point, and no comma";
    return "";
}

namespace {

std::string variable(const std::string& name, const std::string& path, const std::string& place) {
    const char* const value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0')
        input_error(place, " is '", path, "', but the environment variable ", name,
                    " is not set: set it, or write the path (a dollar sign in a name is $$)");
    return value;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_letter_or_digit(char c) { return is_letter(c) || (c >= '0' && c <= '9'); }

}  // namespace

std::string expanded_path(const std::string& path, const std::string& place) {
    std::string expanded;
    std::size_t at = 0;
    if (path == "~" || path.starts_with("~/")) {
        expanded = variable("HOME", path, place);
        at = 1;
    } else if (path.starts_with('~')) {
        input_error(place, " is '", path, "': allowed is ~/ for your own home folder; write the path of another one, ",
                    "or ./", path, " for a file of this name");
    }
    for (; at < path.size(); ++at) {
        const std::string rest = path.substr(at + 1);
        if (path[at] != '$') {
            expanded += path[at];
        } else if (rest.starts_with('$')) {
            expanded += '$';
            ++at;
        } else if (rest.starts_with('{')) {
            const auto end = rest.find('}');
            if (end == std::string::npos || end == 1)
                input_error(place, " is '", path, "': a name and '}' are missing after '${'");
            expanded += variable(rest.substr(1, end - 1), path, place);
            at += end + 1;
        } else if (!rest.empty() && is_letter(rest.front())) {
            const auto end = std::find_if_not(rest.begin(), rest.end(), is_letter_or_digit);
            const std::string name(rest.begin(), end);
            expanded += variable(name, path, place);
            at += name.size();
        } else {
            expanded += '$';
        }
    }
    return expanded;
}

}  // namespace pruntrain
