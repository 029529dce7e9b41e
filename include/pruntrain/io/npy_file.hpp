// Writer for NumPy's array format.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// Writes `values` as a float32 array of this shape, in C order (format 1.0).
/// @throws std::runtime_error naming the file
void write_npy(const std::string& path, const std::vector<index_t>& shape, std::span<const float> values);

}  // namespace pruntrain
