// The exact selection against a sort, for any number of ranks and any distribution of the candidates.
#include <doctest/doctest.h>

#include <algorithm>

#include "pruntrain/base/random.hpp"
#include "pruntrain/parallel/select.hpp"

using namespace pruntrain;

namespace {

struct Candidate {
    std::uint64_t key;
    weight_number_t number;
};

/// Compares with the first `keep` of a sort by (key descending, number ascending).
void check_selection(std::vector<Candidate> all, const Communicator& world, std::uint64_t deal) {
    std::vector<Candidate> own;
    const RandomStream random(deal, Purpose::test);
    for (std::size_t i = 0; i < all.size(); ++i) {
        // deal 0: all on the last rank
        const auto owner =
            deal == 0 ? world.size() - 1 : static_cast<int>(random.bits(i)[0] % static_cast<unsigned>(world.size()));
        if (owner != world.rank()) continue;
        own.push_back(all[i]);
    }
    std::sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
        return a.key != b.key ? a.key > b.key : a.number < b.number;
    });
    const auto for_each = [&](auto work) {
        for (const Candidate& candidate : own) work(candidate.key, candidate.number);
    };
    for (const std::size_t keep : {std::size_t{0}, std::size_t{1}, all.size() / 3, all.size() - 1, all.size()}) {
        const Cut cut = cut_keeping(keep, for_each, world);
        bool right = true;
        for (std::size_t i = 0; i < all.size(); ++i)
            right = right && cut.keeps(all[i].key, all[i].number) == (i < keep);
        CHECK(right);
    }
}

void check_all(const Communicator& world, const std::vector<std::size_t>& sizes, std::vector<std::uint64_t> deals) {
    const RandomStream random(1, Purpose::test);
    for (const std::uint64_t deal : deals)
        for (const std::size_t size : sizes) {
            std::vector<Candidate> distinct, tied, equal, extreme;
            for (std::size_t i = 0; i < size; ++i) {
                const weight_number_t number = i * 1000003 + (i % 7) * (weight_number_t{1} << 40);
                distinct.push_back({order_key(static_cast<real>(random.normal(i))), number});
                tied.push_back({order_key(static_cast<real>(random.bits(i)[1] % 5)), number});
                equal.push_back({order_key(real{0}), number});
                extreme.push_back({i % 2 ? order_key(real{1e30}) : order_key(real{-1e-30}), number});
            }
            for (const auto& candidates : {distinct, tied, equal, extreme}) check_selection(candidates, world, deal);
        }
}

}  // namespace

TEST_CASE("selection keeps exactly the best under the total order") {
    check_all(Communicator::world(), {1, 2, 50, 3000}, {0, 1, 2});
}

TEST_CASE("selection: more to keep than there are is a fault on all ranks") {
    const auto two = [](auto work) {
        work(1, static_cast<weight_number_t>(Communicator::world().rank()));
        work(2, 99);
    };
    CHECK_THROWS(cut_keeping(1000, two, Communicator::world()));
}

TEST_SUITE("many ranks") {
    TEST_CASE("selection over many ranks") { check_all(Communicator::world(), {3000}, {1}); }
}
