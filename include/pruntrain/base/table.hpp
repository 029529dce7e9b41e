// Tables for terminals.
#pragma once

#include <string>
#include <vector>

namespace pruntrain {

using Rows = std::vector<std::vector<std::string>>;

/// Rows of words as aligned columns, the first row as the heading; columns of numbers to the right.
std::string table(const Rows& rows);

}  // namespace pruntrain
