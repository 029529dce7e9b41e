#include <doctest/doctest.h>

#include <set>

#include "pruntrain/base/range.hpp"
#include "pruntrain/data/sampler.hpp"

using namespace pruntrain;

TEST_CASE("sampler: every epoch is a new permutation, the same for any rank count") {
    const Sampler sampler(103, 10, 7);
    CHECK(sampler.steps_per_epoch() == 11);
    std::vector<std::vector<index_t>> epochs;
    for (const int ranks : {1, 2, 3, 13}) {
        std::vector<index_t> order;
        for (index_t step = 0; step < 2 * sampler.steps_per_epoch(); ++step) {
            index_t covered = 0;
            for (int rank = 0; rank < ranks; ++rank) {
                const BatchPart part = sampler.part(step, rank, ranks);
                CHECK(part.first == covered);
                CHECK(part.epoch == step / 11);
                CHECK(part.global_samples == (step % 11 == 10 ? 3 : 10));
                covered += part.samples;
                std::vector<index_t> numbers;
                sampler.draw(step, part, numbers);
                order.insert(order.end(), numbers.begin(), numbers.end());
            }
            CHECK(covered == sampler.part(step, 0, ranks).global_samples);
        }
        epochs.push_back(order);
        CHECK(order == epochs.front());
    }
    const auto& order = epochs.front();
    const std::set<index_t> first(order.begin(), order.begin() + 103), second(order.begin() + 103, order.end());
    CHECK(first.size() == 103);
    CHECK(second.size() == 103);
    CHECK(*first.rbegin() == 102);
    CHECK(std::vector(order.begin(), order.begin() + 103) != std::vector(order.begin() + 103, order.end()));
}

TEST_CASE("sampler: blocks are even") {
    for (const index_t count : {0, 1, 7, 64, 1000})
        for (const int ranks : {1, 3, 8, 64}) {
            index_t next = 0;
            for (int rank = 0; rank < ranks; ++rank) {
                const Block block = even_block(count, rank, ranks);
                CHECK(block.first == next);
                CHECK((block.size == count / ranks || block.size == count / ranks + 1));
                next += block.size;
            }
            CHECK(next == count);
            CHECK(even_block(count, ranks - 1, ranks).size ==
                  (count + ranks - 1) / ranks);  // the last is a largest one
        }
}
