#include "pruntrain/app/terminal.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace pruntrain {

std::string printable(std::string name) {
    for (std::size_t i = 0; i < name.size(); ++i) {
        const auto character = static_cast<unsigned char>(name[i]);
        const bool control = character < ' ' || character == 0x7f;
        const bool high_control =
            character == 0xc2 && i + 1 < name.size() && static_cast<unsigned char>(name[i + 1]) < 0xa0;
        if (control || high_control) name[i] = '?';
        if (high_control) name.erase(i + 1, 1);
    }
    return name;
}

// In UTF-8, every byte except a continuation byte begins a character.
index_t display_width(const std::string& line) {
    return std::count_if(line.begin(), line.end(), [](char byte) { return (byte & 0xc0) != 0x80; });
}

std::string clipped(const std::string& line, index_t columns) {
    std::size_t end = 0;
    for (index_t width = 0; end < line.size(); ++end)
        if ((line[end] & 0xc0) != 0x80 && ++width > columns) break;
    return line.substr(0, end);
}

std::string padded(const std::string& word, index_t columns) {
    return word + std::string(static_cast<std::size_t>(std::max<index_t>(0, columns - display_width(word))), ' ');
}

std::string bar(double fraction, index_t columns) {
    const index_t eighths =
        std::llround(std::clamp(std::isnan(fraction) ? 0 : fraction, 0.0, 1.0) * 8 * static_cast<double>(columns));
    std::string drawn;
    for (index_t i = 0; i < eighths / 8; ++i) drawn += "█";
    static constexpr std::array parts{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    return padded(drawn + parts[eighths % 8], columns);
}

void Plot::draw(const std::vector<Point>& points) {
    for (std::size_t i = 0; i < points.size(); ++i) {
        const Point &from = points[i > 0 && !std::isnan(points[i - 1].x + points[i - 1].y) ? i - 1 : i],
                    &to = points[i];
        if (std::isnan(to.x) || std::isnan(to.y)) continue;
        const index_t steps = 4 * (columns_ + rows_);  // each shorter than a dot
        for (index_t step = 0; step <= steps; ++step) {
            const double part = static_cast<double>(step) / static_cast<double>(steps);
            dot(std::lerp(from.x, to.x, part), std::lerp(from.y, to.y, part));
        }
    }
}

std::string Plot::line(index_t row) const {
    std::string drawn;
    for (index_t column = 0; column < columns_; ++column) {
        const unsigned dots = cells_[row * columns_ + column];
        // U+2800 and the dots, in UTF-8
        drawn += {'\xe2', static_cast<char>(0xa0 | dots >> 6), static_cast<char>(0x80 | (dots & 0x3f))};
    }
    return drawn;
}

void Plot::dot(double x, double y) {
    const auto place = [](double value, double low, double high, index_t dots) {
        const double part = high > low ? (value - low) / (high - low) : 0;
        return std::llround(std::clamp(part, 0.0, 1.0) * static_cast<double>(dots - 1));
    };
    const index_t column = place(x, low_.x, high_.x, 2 * columns_);
    const index_t row = 4 * rows_ - 1 - place(y, low_.y, high_.y, 4 * rows_);
    static constexpr unsigned bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    cells_[row / 4 * columns_ + column / 2] |= bits[row % 4][column % 2];
}

}  // namespace pruntrain
