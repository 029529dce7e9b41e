#include "pruntrain/base/table.hpp"

#include <algorithm>
#include <cctype>

namespace pruntrain {

std::string table(const Rows& rows) {
    std::vector<std::size_t> widths(rows.front().size(), 0);
    for (const auto& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    std::string out;
    for (std::size_t r = 0; r < rows.size(); ++r) {
        std::string line;
        for (std::size_t i = 0; i < rows[r].size(); ++i) {
            // the heading is aligned like its column
            const std::string& sample = rows.size() > 1 ? rows[std::max<std::size_t>(r, 1)][i] : rows[r][i];
            const bool number = !sample.empty() &&
                                (std::isdigit(static_cast<unsigned char>(sample[0])) || sample[0] == '-') &&
                                sample.find('x') == std::string::npos;
            const std::string padding(widths[i] - rows[r][i].size(), ' ');
            line += "  " + (number ? padding + rows[r][i] : rows[r][i] + padding);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    }
    return out;
}

}  // namespace pruntrain
