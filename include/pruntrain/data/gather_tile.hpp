// Transposes samples, each contiguous in memory, into a tile with the sample index innermost.
#pragma once

#include <cstdint>
#include <span>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// tile (feature, sample) = (sources[sample][feature] - mean[feature]) * scale[feature].
/// The tile is `sources.size()` samples wide, a multiple of 8.
void gather_tile(std::span<const std::uint8_t* const> sources, std::span<const real> mean, const real* scale,
                 real* tile);
void gather_tile(std::span<const float* const> sources, std::span<const real> mean, const real* scale, real* tile);

}  // namespace pruntrain
