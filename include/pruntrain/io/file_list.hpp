// Files by name and by pattern.
#pragma once

#include <string>
#include <vector>

namespace pruntrain {

/// Replaces each path with *, ? or [..] by the files that match, in natural order: part_2 before part_10. A file of
/// exactly that name comes first. @throws InputError if none matches
std::vector<std::string> expand_patterns(const std::vector<std::string>& paths);

}  // namespace pruntrain
