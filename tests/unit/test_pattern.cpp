// Pattern against a dense mask.
#include <doctest/doctest.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "pruntrain/base/random.hpp"
#include "pruntrain/math/pattern.hpp"

using namespace pruntrain;

namespace {

std::vector<std::uint8_t> random_flags(index_t count, double keep, std::uint32_t stream) {
    const RandomStream random(2, Purpose::test, stream);
    std::vector<std::uint8_t> flags(static_cast<std::size_t>(count));
    for (std::size_t k = 0; k < flags.size(); ++k) flags[k] = random.uniform(k) < keep ? 1 : 0;
    return flags;
}

}  // namespace

TEST_CASE("pattern: keep, again and again, is a mask that only loses positions") {
    for (const auto& [rows, columns] : {std::pair{1, 1}, {7, 5}, {1, 40}, {40, 1}, {16, 33}}) {
        Pattern pattern(rows, columns);
        std::vector<std::uint8_t> mask(static_cast<std::size_t>(rows * columns), 1);
        for (std::uint32_t event = 0; event < 4; ++event) {
            const auto flags = random_flags(pattern.kept(), 0.6, event);
            const auto before = pattern.dense_positions();
            for (std::size_t k = 0; k < before.size(); ++k)
                if (flags[k] == 0) mask[static_cast<std::size_t>(before[k])] = 0;
            pattern.keep(flags);

            std::vector<index_t> expected;
            for (std::size_t p = 0; p < mask.size(); ++p)
                if (mask[p] != 0) expected.push_back(static_cast<index_t>(p));
            CHECK(pattern.dense_positions() == expected);
            CHECK(pattern.kept() == static_cast<index_t>(expected.size()));
        }
    }
}

TEST_CASE("pattern: stays full while nothing is removed, and can become empty") {
    Pattern pattern(3, 4);
    pattern.keep(std::vector<std::uint8_t>(12, 1));
    CHECK(pattern.full());
    CHECK(pattern.index_bytes() == 0);
    pattern.keep(std::vector<std::uint8_t>(12, 0));
    CHECK_FALSE(pattern.full());
    CHECK(pattern.kept() == 0);
    CHECK(pattern.row_pointers().size() == 4);
    CHECK(pattern.dense_positions().empty());
}

TEST_CASE("pattern: scatter and gather against positions, other numbers untouched") {
    for (const double keep : {0.0, 0.3, 1.0}) {
        Pattern pattern(9, 11);
        pattern.keep(random_flags(99, keep, 7));
        const auto positions = pattern.dense_positions();
        std::vector<real> packed(positions.size());
        for (std::size_t k = 0; k < packed.size(); ++k) packed[k] = static_cast<real>(k + 1);

        std::vector<real> dense(99, real{-5}), expected = dense;
        for (std::size_t k = 0; k < packed.size(); ++k) expected[static_cast<std::size_t>(positions[k])] = packed[k];
        pattern.scatter(packed, dense.data());
        CHECK(dense == expected);

        std::vector<real> back(packed.size());
        pattern.gather(dense.data(), back);
        CHECK(back == packed);
    }
}

TEST_CASE("pattern: matches with another one, position by position") {
    for (const double keep : {0.0, 0.3, 1.0})
        for (const double other_keep : {0.0, 0.5, 1.0}) {
            Pattern pattern(9, 11), other(9, 11);
            pattern.keep(random_flags(99, keep, 1));
            other.keep(random_flags(99, other_keep, 2));
            const auto positions = pattern.dense_positions(), others = other.dense_positions();
            std::size_t k = 0;
            bool right = true;
            pattern.for_each_match(other, [&](index_t before, bool there) {
                const auto first = std::ranges::lower_bound(others, positions[k++]);
                right = right && before == first - others.begin() &&
                        there == (first != others.end() && *first == positions[k - 1]);
            });
            CHECK(right);
            CHECK(k == positions.size());
        }
}

TEST_CASE("pattern: from CSR arrays, equal to the one made by keep") {
    Pattern kept(2, 3);
    kept.keep(std::vector<std::uint8_t>{1, 0, 1, 0, 1, 0});
    const Pattern given(2, 3, {0, 2, 3}, {0, 2, 1});
    CHECK(given.dense_positions() == kept.dense_positions());
    CHECK(given.dense_positions() == std::vector<index_t>{0, 2, 4});
}

TEST_CASE("pattern: damaged CSR arrays are refused") {
    const auto message = [](std::vector<index_t> pointers, std::vector<std::int32_t> columns) -> std::string {
        try {
            const Pattern pattern(2, 3, std::move(pointers), std::move(columns));
        } catch (const std::runtime_error& error) {
            return error.what();
        }
        return "accepted";
    };
    CHECK(message({0, 1, 2}, {0, 1}) == "accepted");
    for (const auto& pointers : std::vector<std::vector<index_t>>{{0, 2}, {1, 1, 2}, {0, 1, 3}, {0, 3, 2}})
        CHECK(message(pointers, {0, 1}).find("the row pointers of a sparse matrix do not ascend") == 0);
    CHECK(message({0, 1, 2}, {0, 3}).find("row 1 of a sparse matrix has column 3") == 0);
    CHECK(message({0, 1, 2}, {-1, 0}).find("row 0 of a sparse matrix has column -1") == 0);
    CHECK(message({0, 2, 2}, {1, 1}).find("row 0 of a sparse matrix has column 1") == 0);
    CHECK(message({0, 2, 2}, {2, 0}).find("row 0 of a sparse matrix has column 0") == 0);
}

TEST_CASE("pattern: columns must fit 32 bits") {
    CHECK_THROWS_WITH(Pattern(1, index_t{1} << 31), "a matrix has 2147483648 columns: allowed are at most 2^31 - 1");
}
