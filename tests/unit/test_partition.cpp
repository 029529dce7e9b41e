#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "../support/layer_bench.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/parallel/partition.hpp"

using namespace pruntrain;

namespace {

index_t fullest(const std::vector<index_t>& weights, const std::vector<index_t>& offsets) {
    index_t most = 0;
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i)
        most =
            std::max(most, std::accumulate(weights.begin() + offsets[i], weights.begin() + offsets[i + 1], index_t{0}));
    return most;
}

/// The smallest fullest block over all cuts of the rows from `first` on.
index_t best(const std::vector<index_t>& weights, index_t first, index_t blocks) {
    const auto rows = static_cast<index_t>(weights.size());
    if (blocks == 1) return std::accumulate(weights.begin() + first, weights.end(), index_t{0});
    index_t least = std::numeric_limits<index_t>::max(), sum = 0;
    for (index_t last = first + 1; last <= rows - (blocks - 1); ++last) {
        sum += weights[static_cast<std::size_t>(last - 1)];
        least = std::min(least, std::max(sum, best(weights, last, blocks - 1)));
    }
    return least;
}

}  // namespace

TEST_CASE("shard cuts: no cut has a smaller fullest block, and every shard has a row") {
    const RandomStream random(1, Purpose::test, 0);
    std::uint64_t draw = 0;
    for (const index_t rows : {1, 2, 5, 9})
        for (const index_t shards : {1, 2, 3, 5})
            for (int time = 0; time < 20 && shards <= rows; ++time) {
                std::vector<index_t> weights;
                for (index_t row = 0; row < rows; ++row)
                    weights.push_back(std::max<index_t>(0, static_cast<index_t>(20 * random.uniform(draw++)) - 5));
                const auto offsets = balanced_cut(weights, shards);
                REQUIRE(static_cast<index_t>(offsets.size()) == shards + 1);
                CHECK(offsets.front() == 0);
                CHECK(offsets.back() == rows);
                CHECK(std::ranges::adjacent_find(offsets, std::greater_equal<>()) == offsets.end());
                CHECK(fullest(weights, offsets) == best(weights, 0, shards));
            }
}

TEST_CASE("shard cuts: imbalance is the time of a step over that of equal shards") {
    CHECK(imbalance({}) == 1);
    const SparseLayer even{"a", {2, 2, 2, 2}, {0, 2, 4}}, uneven{"b", {6, 0, 1, 1}, {0, 2, 4}};
    CHECK(imbalance(std::array{even}) == 1);
    CHECK(imbalance(std::array{uneven}) == 1.5);                             // 6 of 8 on one of two
    CHECK(imbalance(std::array{even, uneven}) == 1.25);                      // 4 + 6 of 16
    CHECK(imbalance(std::array{SparseLayer{"c", {0, 0}, {0, 1, 2}}}) == 1);  // nothing left
}

TEST_CASE("shard cuts: as text and back") {
    const Partition cuts{{"conv2d1", {0, 3, 8}}, {"dense1", {0, 100, 1024}}};
    CHECK(partition_text(cuts) == "conv2d1 0 3 8, dense1 0 100 1024");
    CHECK(parse_partition(partition_text(cuts)) == cuts);
    CHECK(parse_partition("").empty());
    for (const char* wrong : {"dense1", "dense1 0", "dense1 1 2", "dense1 0 5 5", "dense1 0 x", "dense1 0 4, ,"})
        CHECK_THROWS_AS(parse_partition(wrong), InputError);
}
