// Tables for terminals.
#pragma once

#include <string>
#include <vector>

namespace pruntrain {

using Rows = std::vector<std::vector<std::string>>;

/// Formats rows of words as aligned columns, the first row as the heading; numeric columns are right-aligned.
std::string table(const Rows& rows);

}  // namespace pruntrain
