#include "pruntrain/base/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <sstream>

namespace pruntrain {

std::string join(const std::vector<std::string>& words, std::string_view separator) {
    std::string joined;
    for (const auto& word : words) {
        if (!joined.empty()) joined += separator;
        joined += word;
    }
    return joined;
}

namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row.back();
}

template <class... Args>
std::string print(const char* format, Args... args) {
    std::array<char, 64> buffer{};
    const int length = std::snprintf(buffer.data(), buffer.size(), format, args...);
    return {buffer.data(), static_cast<std::size_t>(length)};
}

}  // namespace

std::string nearest(std::string_view wanted, const std::vector<std::string>& words) {
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(2, wanted.size() / 3) + 1;
    for (const auto& word : words) {
        const std::size_t distance = edit_distance(wanted, word);
        if (distance < best_distance) {
            best_distance = distance;
            best = word;
        }
    }
    return best;
}

std::string exact(double value) {
    std::array<char, 32> buffer{};
    const auto [end, status] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
    return {buffer.data(), end};
}

std::string fixed(double value, int digits) {
    constexpr double most = 1e15;
    return print(std::abs(value) < most ? "%.*f" : "%.*e", digits, value);
}

std::string grouped(index_t value) {
    std::string digits = std::to_string(value);
    for (auto place = static_cast<index_t>(digits.size()) - 3; place > (value < 0 ? 1 : 0); place -= 3)
        digits.insert(static_cast<std::size_t>(place), ",");
    return digits;
}

std::string bytes_text(double bytes) {
    static constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    std::size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < units.size(); ++unit) bytes /= 1024;
    return print(unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

std::string duration_text(double seconds) {
    if (!std::isfinite(seconds) || seconds < 0) return "?";
    const auto whole = std::llround(seconds);
    if (whole < 60) return print("%lld s", whole);
    if (whole < 3600) return print("%lld min %02lld s", whole / 60, whole % 60);
    return print("%lld h %02lld min", whole / 3600, whole % 3600 / 60);
}

std::string hex(std::uint64_t value) { return print("%016llx", static_cast<unsigned long long>(value)); }

bool is_plain_text(std::string_view words) {
    // Minimum code points for 1 .. 4 bytes; lower ones are control characters, or overlong encodings.
    static constexpr std::array<char32_t, 4> least{0x20, 0xA0, 0x800, 0x10000};
    for (std::size_t i = 0; i < words.size();) {
        const auto first = static_cast<unsigned char>(words[i++]);
        const std::size_t more = first < 0x80 ? 0 : first >> 5 == 0b110 ? 1 : first >> 4 == 0b1110 ? 2 : 3;
        if (more == 3 && first >> 3 != 0b11110) return false;
        char32_t letter = more == 0 ? first : first & (0x3F >> more);
        if (words.size() - i < more) return false;
        for (const char next : words.substr(i, more)) {
            if ((next & 0xC0) != 0x80) return false;
            letter = letter << 6 | (next & 0x3F);
        }
        i += more;
        const bool surrogate = letter >= 0xD800 && letter <= 0xDFFF;
        if (letter < least[more] || letter == 0x7F || surrogate || letter > 0x10FFFF) return false;
    }
    return true;
}

std::string shown(std::string_view words) {
    std::string plain(words);
    if (!is_plain_text(words))
        for (char& letter : plain)
            if (letter < 0x20 || letter > 0x7E) letter = '?';
    return plain;
}

std::string join_some(const std::vector<std::string>& words, std::size_t most) {
    if (words.size() <= most) return join(words);
    return join({words.begin(), words.begin() + static_cast<std::ptrdiff_t>(most)}) + ", ...";
}

std::string csv_field(const std::string& value) {
    if (value.find_first_of(",\"\r\n") == std::string::npos) return value;
    std::string quoted = "\"";
    for (const char letter : value) quoted += letter == '"' ? "\"\"" : std::string(1, letter);
    return quoted + "\"";
}

std::string crossed(std::span<const index_t> sizes) {
    std::vector<std::string> words;
    for (const index_t size : sizes) words.push_back(std::to_string(size));
    return join(words, "x");
}

std::string changed_lines(const std::string& before, const std::string& now) {
    const auto lines = [](const std::string& all) {
        std::vector<std::string> list;
        std::istringstream in(all);
        for (std::string line; std::getline(in, line);) list.push_back(line);
        return list;
    };
    const auto old_lines = lines(before), new_lines = lines(now);
    std::vector<std::string> changes;
    for (const auto& line : old_lines)
        if (std::find(new_lines.begin(), new_lines.end(), line) == new_lines.end()) changes.push_back("  - " + line);
    for (const auto& line : new_lines)
        if (std::find(old_lines.begin(), old_lines.end(), line) == old_lines.end()) changes.push_back("  + " + line);
    return join(changes, "\n");
}

std::string density_text(index_t kept, index_t size) {
    return fixed(size == 0 ? 1 : static_cast<double>(kept) / static_cast<double>(size), 4);
}

std::string shape_text(const std::vector<index_t>& shape, const std::vector<index_t>& full_shape) {
    return crossed(shape) + (shape == full_shape ? "" : " of " + crossed(full_shape));
}

std::string number_or_dash(double value, int digits) { return std::isnan(value) ? "-" : fixed(value, digits); }

}  // namespace pruntrain
