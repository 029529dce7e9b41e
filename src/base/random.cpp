#include "pruntrain/base/random.hpp"

#include <Random123/philox.h>

#include <cmath>
#include <numbers>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

RandomStream::RandomStream(std::uint64_t seed, Purpose purpose, std::uint32_t stream, index_t step)
    : seed_(seed),
      stream_word_(static_cast<std::uint32_t>(purpose) << 24 | stream),
      step_word_(static_cast<std::uint32_t>(step)) {
    if (stream >> 24 != 0) fault("random stream ", stream, " is not below 2^24");
    if (step < 0 || step >> 32 != 0) fault("a random stream has step ", step, ": allowed is 0 to 2^32 - 1");
}

std::array<std::uint32_t, 4> RandomStream::bits(std::uint64_t index) const {
    const r123::Philox4x32::ctr_type counter{
        {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), step_word_, stream_word_}};
    const r123::Philox4x32::key_type key{{static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)}};
    const auto drawn = r123::Philox4x32{}(counter, key);
    return {drawn[0], drawn[1], drawn[2], drawn[3]};
}

namespace {

/// The upper 53 of 64 random bits as a value in [0, 1).
double unit_interval(std::uint32_t high, std::uint32_t low) {
    const std::uint64_t both = static_cast<std::uint64_t>(high) << 32 | low;
    return static_cast<double>(both >> 11) * 0x1p-53;
}

}  // namespace

double RandomStream::uniform(std::uint64_t index) const {
    const auto word = bits(index);
    return unit_interval(word[0], word[1]);
}

double RandomStream::normal(std::uint64_t index) const {
    const auto word = bits(index);
    const double radius = std::sqrt(-2 * std::log1p(-unit_interval(word[0], word[1])));  // 1 - u is never 0
    return radius * std::cos(2 * std::numbers::pi * unit_interval(word[2], word[3]));
}

Permutation::Permutation(index_t size, const RandomStream& random) : size_(size), half_bits_(1), random_(random) {
    while ((index_t{1} << (2 * half_bits_)) < size) ++half_bits_;
}

index_t Permutation::operator()(index_t position) const {
    // Four rounds suffice for large sets (Luby & Rackoff 1988); eight leave no visible bias in sets of a few elements.
    constexpr std::uint64_t rounds = 8;
    const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
    auto value = static_cast<std::uint64_t>(position);
    do {
        std::uint64_t left = value >> half_bits_;
        std::uint64_t right = value & mask;
        for (std::uint64_t round = 0; round < rounds; ++round) {
            const std::uint64_t mixed = left ^ (random_.bits(round << 32 | right)[0] & mask);
            left = right;
            right = mixed;
        }
        value = left << half_bits_ | right;
    } while (value >= static_cast<std::uint64_t>(size_));
    return static_cast<index_t>(value);
}

}  // namespace pruntrain
