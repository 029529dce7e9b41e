#include "pruntrain/parallel/select.hpp"

#include <bit>
#include <cmath>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

std::uint64_t order_key(real score) {
    if (std::isnan(score)) fault("a weight's score is not a number");
#ifdef PRUNTRAIN_DOUBLE
    using Bits = std::uint64_t;
#else
    using Bits = std::uint32_t;
#endif
    constexpr Bits sign = Bits{1} << (key_bits - 1);
    const auto bits = std::bit_cast<Bits>(score == 0 ? real{0} : score);
    return bits & sign ? static_cast<Bits>(~bits) : static_cast<Bits>(bits | sign);
}

RadixSearch::RadixSearch(std::uint64_t rank, int bits) : rank_(rank), shift_((bits - 1) / digit_bits * digit_bits) {}

void RadixSearch::end_round(const Communicator& ranks) {
    ranks.all_reduce_sum(std::span(counts_));
    std::uint64_t chosen = counts_.size() - 1;
    while (chosen > 0 && above_ + counts_[chosen] <= rank_) above_ += counts_[chosen--];
    if (above_ + counts_[chosen] <= rank_)
        fault("cannot keep ", rank_ + 1, " of ", above_ + counts_[chosen], " weights");
    value_ |= chosen << shift_;
    shift_ -= digit_bits;
    counts_.fill(0);
}

}  // namespace pruntrain
