#include "pruntrain/prune/select.hpp"

#include <algorithm>
#include <array>
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

namespace {

/// What the radix search finds: the value at a rank, and how many come before it.
struct Found {
    std::uint64_t value = 0;
    std::uint64_t before = 0;
};

/// The value that has rank `rank` (from 0) in the ascending order of the values of all ranks, all below 2^bits. Each
/// round looks at one digit, from the top, of the values that agree with the result in all digits above.
Found find_by_rank(std::vector<std::uint64_t> values, std::uint64_t rank, int bits, const Communicator& ranks) {
    constexpr int digit_bits = 11;  // 2,048 counters: 16 KiB a round
    Found found;
    for (int shift = (bits - 1) / digit_bits * digit_bits; shift >= 0; shift -= digit_bits) {
        std::array<std::uint64_t, 1 << digit_bits> counts{};
        const auto digit = [shift](std::uint64_t value) { return value >> shift & ((1 << digit_bits) - 1); };
        for (const std::uint64_t value : values) ++counts[digit(value)];
        ranks.sum(std::span<std::uint64_t>(counts));
        std::uint64_t chosen = 0;
        while (chosen + 1 < counts.size() && found.before + counts[chosen] <= rank) found.before += counts[chosen++];
        found.value |= chosen << shift;
        std::erase_if(values, [&](std::uint64_t value) { return digit(value) != chosen; });
    }
    return found;
}

}  // namespace

Cut cut_keeping(std::uint64_t keep, std::span<const std::uint64_t> keys, std::span<const weight_number_t> numbers,
                const Communicator& ranks) {
    if (keep == 0) return {};
    std::uint64_t candidates = keys.size();
    ranks.sum(std::span(&candidates, 1));
    if (candidates < keep) fault("cannot keep ", keep, " of ", candidates, " weights");

    // The keep-th largest key; above it are candidates - before - (its ties).
    const Found key = find_by_rank({keys.begin(), keys.end()}, candidates - keep, key_bits, ranks);
    std::vector<std::uint64_t> ties;
    for (std::size_t i = 0; i < keys.size(); ++i)
        if (keys[i] == key.value) ties.push_back(numbers[i]);
    std::uint64_t tied = ties.size();
    ranks.sum(std::span(&tied, 1));
    const std::uint64_t above = candidates - key.before - tied;
    // Of the ties the first `keep - above` by number stay.
    const Found last = find_by_rank(std::move(ties), keep - above - 1, 64, ranks);
    return {key.value, last.value};
}

}  // namespace pruntrain
