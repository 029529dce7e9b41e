// One number for a pattern, one for all values: equal on all ranks, for any rank count and any distribution.
#pragma once

#include <cstdint>

#include "pruntrain/model/network.hpp"

namespace pruntrain {

/// Sums of a strong hash (XXH3) of each element, modulo 2^64: independent of the order of the elements, so that ranks
/// that hold parts of a model can add up their parts.
struct ModelHash {
    std::uint64_t pattern = 0;  ///< of the numbers of the kept prunable weights
    std::uint64_t weights = 0;  ///< of (number, bits) of all kept parameters and of the statistics
};

ModelHash hash_model(Network& network);

}  // namespace pruntrain
