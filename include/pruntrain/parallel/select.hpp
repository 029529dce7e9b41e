// Exact selection of the weights to keep, over all ranks.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// A score as an integer of the same order, so that the selection uses integers only (Herf 2001, "Radix tricks": flip
/// the sign bit of positive values and all bits of negative ones). -0 counts as 0. @throws std::runtime_error for NaN
std::uint64_t order_key(real score);

/// Bits of an order key.
inline constexpr int key_bits = 8 * static_cast<int>(sizeof(real));

/// The threshold between kept and removed in the total order (key descending, then index ascending).
struct Cut {
    std::uint64_t key = std::numeric_limits<std::uint64_t>::max();  ///< default: keeps nothing
    weight_number_t number = 0;

    bool keeps(std::uint64_t other_key, weight_number_t other_number) const {
        return other_key > key || (other_key == key && other_number <= number);
    }
};

/// Finds the value at a given position of the descending order of the values of all ranks, by radix selection from the
/// most significant digit.
class RadixSearch {
   public:
    /// @param rank  position in the descending order, from 0
    /// @param bits  number of bits of the values
    RadixSearch(std::uint64_t rank, int bits);

    bool done() const { return shift_ < 0; }
    /// In each round, call this for every value on this rank, ..
    /// @param times  multiplicity of the value
    void count(std::uint64_t value, std::uint64_t times = 1) {
        if ((value ^ value_) >> digit_bits >> shift_ == 0) counts_[value >> shift_ & (counts_.size() - 1)] += times;
    }
    /// .. then this. Collective. @throws std::runtime_error if there are too few values
    void end_round(const Communicator& ranks);

    std::uint64_t value() const { return value_; }  ///< valid when done
    std::uint64_t above() const { return above_; }  ///< number of values that are larger

   private:
    static constexpr int digit_bits = 11;  // 2,048 counters: 16 KiB per round

    std::uint64_t rank_, value_ = 0, above_ = 0;
    int shift_;
    std::array<std::uint64_t, 1 << digit_bits> counts_{};
};

/// The threshold that keeps exactly `keep` of the candidates of all ranks. Each candidate is on one rank; indices are
/// unique. Collective; every rank gets the same threshold for any distribution of the candidates. Histograms of integer
/// digits are summed: three rounds for float keys, then six over the ties of the last key. Only ties are copied.
/// @param for_each  calls its argument with (key, index) of every candidate on this rank; called once per round
/// @throws std::runtime_error if there are fewer than `keep` candidates
template <class ForEach>
Cut cut_keeping(std::uint64_t keep, ForEach for_each, const Communicator& ranks) {
    if (keep == 0) return {};
    RadixSearch key(keep - 1, key_bits);
    while (!key.done()) {
        for_each([&](std::uint64_t value, weight_number_t) { key.count(value); });
        key.end_round(ranks);
    }
    std::vector<weight_number_t> ties;
    for_each([&](std::uint64_t value, weight_number_t number) {
        if (value == key.value()) ties.push_back(number);
    });
    RadixSearch last(keep - key.above() - 1, 64);  // of ties, the smallest indices are kept
    while (!last.done()) {
        for (const weight_number_t number : ties) last.count(~number);
        last.end_round(ranks);
    }
    return {key.value(), ~last.value()};
}

}  // namespace pruntrain
