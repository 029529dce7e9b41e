// The middle of measured numbers.
#pragma once

#include <algorithm>
#include <vector>

namespace pruntrain {

inline double median(std::vector<double> all) {
    const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
    std::nth_element(all.begin(), middle, all.end());
    return *middle;
}

}  // namespace pruntrain
