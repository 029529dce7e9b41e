// Hashes of the pattern and of all values: equal on all ranks, for any rank count and any distribution.
#pragma once

#include <cstdint>

#include "pruntrain/model/network.hpp"

namespace pruntrain {

/// Sums of a strong hash (XXH3) of each element, modulo 2^64. They do not depend on the order of elements, so ranks
/// that hold parts of a model can add up their parts.
struct ModelHash {
    std::uint64_t pattern = 0;  ///< of the indices of the remaining prunable weights
    std::uint64_t weights = 0;  ///< of (index, bits) of all remaining parameters and of the statistics
};

ModelHash hash_model(Network& network);

}  // namespace pruntrain
