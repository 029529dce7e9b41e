// What a file is that is not in the format of the configuration: for messages.
#pragma once

#include <string>

namespace pruntrain {

/// " (it is ..: what to do)" by the first bytes of the file; "" if they are of no format that is known here.
std::string other_format(const std::string& path);

}  // namespace pruntrain
