// The exact choice of the weights to keep, over all ranks.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// A score as an integer of the same order, so that only integers decide (Herf 2001, "Radix tricks": flip the sign bit
/// of positive numbers and all bits of negative ones). -0 counts as 0. @throws std::runtime_error for NaN
std::uint64_t order_key(real score);

/// Bits of an order key.
inline constexpr int key_bits = 8 * static_cast<int>(sizeof(real));

/// The border between kept and removed in the total order (key descending, then number ascending).
struct Cut {
    std::uint64_t key = std::numeric_limits<std::uint64_t>::max();  ///< as it stands: keeps nothing
    weight_number_t number = 0;

    bool keeps(std::uint64_t other_key, weight_number_t other_number) const {
        return other_key > key || (other_key == key && other_number <= number);
    }
};

/// The cut that keeps exactly `keep` of the candidates of all ranks. Each candidate stands on one rank; numbers are
/// unique. Collective; the same cut on every rank for any distribution of the candidates: histograms of integer digits
/// are summed, three rounds for float keys, then up to six more over the ties of the last key. Candidates must be at
/// least `keep` in all.
Cut cut_keeping(std::uint64_t keep, std::span<const std::uint64_t> keys, std::span<const weight_number_t> numbers,
                const Communicator& ranks);

}  // namespace pruntrain
