// Counter-based random numbers: every value is a pure function of (seed, purpose, stream, step, index). So there is no
// state to save, and draws do not depend on the number of ranks.
#pragma once

#include <array>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// The use of a random stream. Different purposes never share values. A seed's results depend on these enumerators:
/// append new ones at the end only.
enum class Purpose : std::uint32_t {
    shuffle = 1,
    split = 2,
    initial_weight = 3,
    dropout = 4,
    criterion = 5,
    synthetic_teacher = 6,
    synthetic_sample = 7,
    regrowth = 8,
    test = 255,
};

/// One sequence of random values, read at any index in any order.
/// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") from Random123.
class RandomStream {
   public:
    /// @param stream  distinguishes streams of one purpose, for instance a layer's index; below 2^24
    /// @param step    below 2^32
    RandomStream(std::uint64_t seed, Purpose purpose, std::uint32_t stream = 0, index_t step = 0);

    /// Four independent 32-bit values; `index` up to 2^64.
    std::array<std::uint32_t, 4> bits(std::uint64_t index) const;

    /// In [0, 1), 53 random bits.
    double uniform(std::uint64_t index) const;

    /// Mean 0, std 1 (Box & Muller 1958).
    double normal(std::uint64_t index) const;

   private:
    std::uint64_t seed_;
    std::uint32_t stream_word_;
    std::uint32_t step_word_;
};

/// A random order of 0 .. size-1 that is computed element by element and never stored. It is a balanced Feistel network
/// (Luby & Rackoff 1988) over the next even power of two, repeated until the result is below size (cycle walking, Black
/// & Rogaway 2002). So a data set of any size is shuffled without memory, identically on every rank.
class Permutation {
   public:
    Permutation(index_t size, const RandomStream& random);

    index_t size() const { return size_; }
    index_t operator()(index_t position) const;

   private:
    index_t size_;
    int half_bits_;
    RandomStream random_;
};

}  // namespace pruntrain
