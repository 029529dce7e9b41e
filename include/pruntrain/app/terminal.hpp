// Text, bars and curves for a terminal, in UTF-8.
#pragma once

#include <string>
#include <vector>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// Without control characters, so that nothing of it moves the cursor.
std::string printable(std::string name);
/// Characters of a line, not bytes.
index_t display_width(const std::string& line);
std::string clipped(const std::string& line, index_t columns);
std::string padded(const std::string& word, index_t columns);
/// A bar of this fraction of the columns, in steps of an eighth of a column.
std::string bar(double fraction, index_t columns);

struct Point {
    double x, y;
};

/// A line through points in braille characters, of 2 x 4 dots each. Unknown points (NaN) leave a gap.
class Plot {
   public:
    Plot(index_t columns, index_t rows, Point low, Point high)
        : columns_(columns), rows_(rows), low_(low), high_(high), cells_(static_cast<std::size_t>(columns * rows)) {}

    void draw(const std::vector<Point>& points);
    std::string line(index_t row) const;

   private:
    void dot(double x, double y);

    index_t columns_, rows_;
    Point low_, high_;
    std::vector<unsigned> cells_;
};

}  // namespace pruntrain
