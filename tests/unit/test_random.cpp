// Random numbers: known answers, moments, permutations.
#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "pruntrain/base/random.hpp"

using namespace pruntrain;

TEST_CASE("random: Philox4x32-10 gives the known answers of its authors") {  // kat_vectors of Random123
    using Bits = std::array<std::uint32_t, 4>;
    CHECK(RandomStream(0, static_cast<Purpose>(0)).bits(0) == Bits{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    CHECK(RandomStream(~std::uint64_t{0}, static_cast<Purpose>(255), 0xffffff, 0xffffffff).bits(~std::uint64_t{0}) ==
          Bits{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    CHECK(RandomStream(0x299f31d0a4093822, static_cast<Purpose>(3), 0x707344, 0x13198a2e).bits(0x85a308d3243f6a88) ==
          Bits{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("random: seed, purpose, stream, step and index each change the numbers") {
    const auto base = RandomStream(1, Purpose::dropout, 2, 3).bits(4);
    CHECK(RandomStream(1, Purpose::dropout, 2, 3).bits(4) == base);
    CHECK(RandomStream(2, Purpose::dropout, 2, 3).bits(4) != base);
    CHECK(RandomStream(1, Purpose::shuffle, 2, 3).bits(4) != base);
    CHECK(RandomStream(1, Purpose::dropout, 3, 3).bits(4) != base);
    CHECK(RandomStream(1, Purpose::dropout, 2, 4).bits(4) != base);
    CHECK(RandomStream(1, Purpose::dropout, 2, 3).bits(5) != base);
}

TEST_CASE("random: moments of uniform and normal numbers within five deviations of their mean") {
    constexpr int count = 200000;
    const RandomStream random(5, Purpose::test);
    double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0, normal_fourth = 0;
    for (int i = 0; i < count; ++i) {
        const double u = random.uniform(static_cast<std::uint64_t>(i));
        REQUIRE((u >= 0 && u < 1));
        sum += u;
        squares += u * u;
        const double n = random.normal(static_cast<std::uint64_t>(i));
        REQUIRE(std::isfinite(n));
        normal_sum += n;
        normal_squares += n * n;
        normal_fourth += n * n * n * n;
    }
    const double five = 5 / std::sqrt(static_cast<double>(count));
    CHECK(std::abs(sum / count - 0.5) < five * std::sqrt(1.0 / 12));
    CHECK(std::abs(squares / count - 1.0 / 3) < five * std::sqrt(4.0 / 45));
    CHECK(std::abs(normal_sum / count) < five);
    CHECK(std::abs(normal_squares / count - 1) < five * std::sqrt(2.0));
    CHECK(std::abs(normal_fourth / count - 3) < five * std::sqrt(96.0));
}

TEST_CASE("random: a permutation has every number once") {
    for (const index_t size : {0, 1, 2, 3, 4, 5, 15, 16, 17, 64, 65, 1000}) {
        const Permutation order(size, RandomStream(1, Purpose::shuffle));
        std::set<index_t> seen;
        for (index_t i = 0; i < size; ++i) seen.insert(order(i));
        CHECK(static_cast<index_t>(seen.size()) == size);
        if (size > 0) CHECK((*seen.begin() == 0 && *seen.rbegin() == size - 1));
    }
}

TEST_CASE("random: every place of a permutation is as likely for an element") {
    constexpr index_t size = 100, trials = 10000;  // of few elements four Feistel rounds prefer some orders a little
    for (index_t element = 0; element < size; element += 9) {
        std::array<double, size> counts{};
        for (index_t step = 0; step < trials; ++step)
            ++counts[static_cast<std::size_t>(Permutation(size, RandomStream(1, Purpose::shuffle, 0, step))(element))];
        double chi_square = 0;
        constexpr double expected = static_cast<double>(trials) / size;
        for (const double count : counts) chi_square += (count - expected) * (count - expected) / expected;
        CHECK(chi_square < 99 + 5 * std::sqrt(198.0));  // 99 degrees of freedom: mean 99, variance 198
    }
}

TEST_CASE("random: streams and steps that do not fit are refused") {
    CHECK_THROWS_WITH(RandomStream(1, Purpose::test, 1u << 24), "random stream 16777216 is not below 2^24");
    CHECK_THROWS_WITH(RandomStream(1, Purpose::test, 0, index_t{1} << 32),
                      "a random stream has step 4294967296: allowed is 0 to 2^32 - 1");
    CHECK_THROWS_WITH(RandomStream(1, Purpose::test, 0, -1), "a random stream has step -1: allowed is 0 to 2^32 - 1");
}
