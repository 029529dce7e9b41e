// Sums over slices: the same bits for any number of ranks.
#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/random.hpp"
#include "pruntrain/parallel/slices.hpp"

using namespace pruntrain;

namespace {

constexpr std::size_t numbers = 5;

/// Of very different sizes, so that another order of additions has other bits.
std::array<double, numbers> row_of(index_t slice) {
    const RandomStream random(6, Purpose::test, static_cast<std::uint32_t>(slice));
    std::array<double, numbers> row{};
    for (std::size_t i = 0; i < numbers; ++i)
        row[i] = (random.uniform(2 * i) - 0.5) * std::exp2(40 * random.uniform(2 * i + 1));
    return row;
}

std::array<double, numbers> twin(const TreeNode& node) {
    if (node.size == 1) return row_of(node.first);
    auto sum = twin(node.left());
    const auto other = twin(node.right());
    for (std::size_t i = 0; i < numbers; ++i) sum[i] += other[i];
    return sum;
}

std::array<double, numbers> sum_of(const Slices& slices) {
    std::vector<double> rows;
    for (index_t slice = slices.own().first; slice < slices.own().first + slices.own().size; ++slice) {
        const auto row = row_of(slice);
        rows.insert(rows.end(), row.begin(), row.end());
    }
    std::array<double, numbers> totals{};
    slices.finish(slices.start_sum(rows), totals);
    return totals;
}

}  // namespace

TEST_SUITE("many ranks") {
    TEST_CASE("slices: ordered sums are those of the tree") {
        const auto world = Communicator::world();
        for (const index_t count : {1, 2, 3, 4, 7, 8, 11, 64, 100}) {
            if (count < world.size()) {
                CHECK_THROWS_AS(Slices(world, count), InputError);
                continue;
            }
            const Slices slices(world, count);
            CHECK(slices.ordered());
            CHECK(slices.own().size >= 1);
            CHECK(sum_of(slices) == twin({0, count}));
        }
    }

    TEST_CASE("slices: fast, each rank is a slice, and all get the same bits") {
        const auto world = Communicator::world();
        const Slices slices(world);
        CHECK_FALSE(slices.ordered());
        CHECK(slices.count() == world.size());
        CHECK(slices.own().first == world.rank());
        const auto sum = sum_of(slices), expected = twin({0, world.size()});
        for (std::size_t i = 0; i < numbers; ++i) {
            CHECK(std::abs(sum[i] - expected[i]) <= 1e-15 * world.size() * std::exp2(40));
            auto same = sum[i];
            world.broadcast(std::span(&same, 1));
            CHECK(same == sum[i]);
        }
    }
}

TEST_CASE("slices: two sums may be under way") {
    const auto world = Communicator::world();
    const Slices slices(world, 8);
    const std::vector<double> ones(static_cast<std::size_t>(slices.own().size), 1.0);
    auto first = slices.start_sum(ones);
    auto second = slices.start_sum(ones);
    std::array<double, 1> total{};
    slices.finish(std::move(first), total);
    CHECK(total[0] == 8);
    slices.finish(std::move(second), total);
    CHECK(total[0] == 8);
}
