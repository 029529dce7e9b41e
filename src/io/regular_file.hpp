// What a path must lead to before it is opened for reading.
#pragma once

#include <string>

namespace pruntrain {

/// @return the path. @throws InputError unless it is that of a file that can be read twice: folders have no content,
/// pipes block, and devices have no size
const std::string& regular_file(const std::string& path);

}  // namespace pruntrain
