// Patterns for benchmarks: how often the positions of each row, or column, are kept, relative to the others.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "pruntrain/base/random.hpp"
#include "pruntrain/base/types.hpp"

namespace pruntrain {

inline std::vector<double> even_shares(index_t count) {
    return std::vector<double>(static_cast<std::size_t>(count), 1.0);
}

/// By Zipf's law in a random order, an eighth of them never.
inline std::vector<double> zipf_shares(index_t count, std::uint32_t stream) {
    const Permutation rank(count, RandomStream(1, Purpose::test, stream));
    std::vector<double> shares;
    for (index_t i = 0; i < count; ++i)
        shares.push_back(8 * rank(i) >= 7 * count ? 0.0 : 1 / static_cast<double>(1 + rank(i)));
    return shares;
}

/// Flags of exactly density x size positions, drawn without replacement in proportion to row share x column share: the
/// smallest of exponential numbers of that rate (Efraimidis & Spirakis 2006).
inline std::vector<std::uint8_t> draw_pattern(double density, const std::vector<double>& row_shares,
                                              const std::vector<double>& column_shares) {
    const RandomStream random(1, Purpose::test, 3);
    std::vector<double> times;
    times.reserve(row_shares.size() * column_shares.size());
    for (const double row : row_shares)
        for (const double column : column_shares) {
            const double time = -std::log(1 - random.uniform(times.size()));
            times.push_back(row * column > 0 ? time / (row * column) : std::numeric_limits<double>::infinity());
        }
    std::vector<double> sorted = times;
    const auto last = sorted.begin() + std::llround(density * static_cast<double>(times.size())) - 1;
    std::nth_element(sorted.begin(), last, sorted.end());
    std::vector<std::uint8_t> keep;
    for (const double time : times) keep.push_back(time <= *last);
    return keep;
}

}  // namespace pruntrain
