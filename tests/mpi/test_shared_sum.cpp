// Sums in shared memory against a twin that adds in the order of the tree, on real and pretended nodes.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <thread>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/random.hpp"
#include "pruntrain/comm/shared_sum.hpp"

using namespace pruntrain;

namespace {

/// Numbers of very different sizes, so that another order of additions has other bits.
std::vector<real> numbers_of(int rank, index_t size, index_t step) {
    const RandomStream random(5, Purpose::test, static_cast<std::uint32_t>(rank), step);
    std::vector<real> all(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < all.size(); ++i)
        all[i] = static_cast<real>((random.uniform(2 * i) - 0.5) * std::exp2(8 * random.uniform(2 * i + 1)));
    return all;
}

/// Of the ranks first .. last-1, added as the tree says in which they are the slices.
std::vector<real> twin(int first, int last, index_t size, index_t step) {
    const auto sum_of = [&](const auto& again, const TreeNode& node) -> std::vector<real> {
        if (node.size == 1) return numbers_of(first + static_cast<int>(node.first), size, step);
        std::vector<real> sum = again(again, node.left());
        const auto other = again(again, node.right());
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += other[i];
        return sum;
    };
    return sum_of(sum_of, {0, last - first});
}

bool same_bits(std::span<const real> a, std::span<const real> b) {
    return std::ranges::equal(std::as_bytes(a), std::as_bytes(b));
}

/// All ranks have the same bits.
bool same_everywhere(const Communicator& ranks, std::span<const real> values) {
    std::uint64_t hash = 0;
    for (const std::byte byte : std::as_bytes(values)) hash = hash * 1099511628211u + static_cast<std::uint64_t>(byte);
    const auto hashes = ranks.all_gather(hash);
    return std::ranges::all_of(hashes, [&](std::uint64_t other) { return other == hash; });
}

/// One step: fills the arrays, sums the ranges between these bounds.
void sum_step(SharedSum& sum, int rank, index_t step, const std::vector<index_t>& bounds) {
    std::ranges::copy(numbers_of(rank, static_cast<index_t>(sum.values().size()), step), sum.values().begin());
    for (std::size_t i = 1; i < bounds.size(); ++i) {
        sum.start(bounds[i - 1], bounds[i]);
        if (i % 2 == 0) sum.progress();
    }
    sum.finish();
}

}  // namespace

TEST_SUITE("many ranks") {
    TEST_CASE("shared sum: the bits of a tree over the ranks, for all sizes and ranges") {
        const auto world = Communicator::world();
        SharedSum sum(world, world.node());
        for (const index_t size : {0, 1, 2, 15, 16, 17, 100, 1029, 3001}) {
            const auto values = sum.allocate(size);
            CHECK(values.size() == static_cast<std::size_t>(size));
            CHECK(reinterpret_cast<std::uintptr_t>(values.data()) % 64 == 0);
            index_t step = 0;
            for (const auto& bounds : {std::vector<index_t>{0, size},
                                       {0, 0, size / 3, size / 3, size / 2 + 1, size},
                                       {0, size - size / 7, size, size}}) {
                if (!std::ranges::is_sorted(bounds) || bounds.back() > size) continue;
                sum_step(sum, world.rank(), ++step, bounds);
                CHECK(same_bits(values, twin(0, world.size(), size, step)));
            }
        }
    }

    TEST_CASE("shared sum: numbers outside of the ranges stay") {
        const auto world = Communicator::world();
        SharedSum sum(world, world.node());
        const index_t size = 203;
        const auto values = sum.allocate(size);
        sum_step(sum, world.rank(), 1, {});
        sum.start(150, 152);
        sum.start(3, 47);
        sum.finish();
        auto expected = numbers_of(world.rank(), size, 1);
        const auto summed = twin(0, world.size(), size, 1);
        std::copy(summed.begin() + 150, summed.begin() + 152, expected.begin() + 150);
        std::copy(summed.begin() + 3, summed.begin() + 47, expected.begin() + 3);
        CHECK(same_bits(values, expected));
    }

    TEST_CASE("shared sum: on two nodes the sums of the nodes are added") {
        const auto world = Communicator::world();
        if (world.size() % 2 != 0) return;
        const int half = world.size() / 2;
        SharedSum sum(world, world.node().split(world.rank() / half));
        const index_t size = 1029;
        const auto values = sum.allocate(size);
        for (index_t step = 0; step < 5; ++step) {
            sum_step(sum, world.rank(), step, {0, 5, 5, 700, size});
            auto expected = twin(0, half, size, step);
            const auto second = twin(half, world.size(), size, step);
            for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += second[i];
            CHECK(same_bits(values, expected));
        }
    }

    TEST_CASE("shared sum: any nodes, also of different sizes, give all ranks the same bits") {
        const auto world = Communicator::world();
        const index_t size = 1029;
        const auto exact = twin(0, world.size(), size, 1);
        double largest = 0;  // sum of sizes: the bound of any order of additions is their multiple
        for (int rank = 0; rank < world.size(); ++rank) {
            double most = 0;
            for (const real value : numbers_of(rank, size, 1)) most = std::max(most, std::abs(double{value}));
            largest += most;
        }
        const double bound = world.size() * largest * std::numeric_limits<real>::epsilon();
        for (const int ranks_of_node : {1, 2, 3}) {
            SharedSum sum(world, world.node().split(world.rank() / ranks_of_node));
            const auto values = sum.allocate(size);
            sum_step(sum, world.rank(), 1, {0, 100, 101, size});
            CHECK(same_everywhere(world, values));
            double error = 0;
            for (std::size_t i = 0; i < exact.size(); ++i)
                error = std::max(error, std::abs(double{values[i]} - double{exact[i]}));
            CHECK(error <= bound);
            const std::vector<real> first(values.begin(), values.end());
            sum_step(sum, world.rank(), 1, {0, 100, 101, size});
            CHECK(same_bits(values, first));
        }
    }

    TEST_CASE("shared sum: in bf16 between nodes, with what rounding takes away added a step later") {
        const auto world = Communicator::world();
        const index_t size = 1029;
        for (const int ranks_of_node : {1, 2}) {
            SharedSum sum(world, world.node().split(world.rank() / ranks_of_node), SharedSum::Message::bf16);
            const auto values = sum.allocate(size);
            const auto step = [&] {  // the same numbers in every step
                sum_step(sum, world.rank(), 1, {0, 100, 101, size});
                return std::vector<real>(values.begin(), values.end());
            };
            const std::vector<real> first = step();
            CHECK(same_everywhere(world, values));
            std::vector<double> mean(first.begin(), first.end());
            constexpr int steps = 16;
            for (int i = 1; i < steps; ++i) {
                const auto next = step();
                for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += double{next[k]};
            }
            sum.reset_residual();
            CHECK(same_bits(step(), first));

            const bool crosses = world.size() > ranks_of_node;
            double once = 0, in_the_mean = 0;
            std::vector<real> exact(first.size()), magnitude(first.size());
            for (int rank = 0; rank < world.size(); ++rank) {
                const auto numbers = numbers_of(rank, size, 1);
                for (std::size_t k = 0; k < exact.size(); ++k) {
                    exact[k] += numbers[k];
                    magnitude[k] += std::abs(numbers[k]);
                }
            }
            for (std::size_t k = 0; k < exact.size(); ++k) {
                once = std::max(once, std::abs(double{first[k]} - double{exact[k]}) / double{magnitude[k]});
                in_the_mean =
                    std::max(in_the_mean, std::abs(mean[k] / steps - double{exact[k]}) / double{magnitude[k]});
            }
            CHECK(once <= std::exp2(-7));  // 8 bits of precision lose 2^-8 at most, in each of two roundings
            CHECK((once > std::exp2(-12)) == crosses);
            CHECK(in_the_mean <= std::exp2(-7) / steps + 1e-6);
        }
    }

    TEST_CASE("shared sum: slices in the order of their tree, however they are shared out over ranks and nodes") {
        const auto world = Communicator::world();
        const index_t size = 1029;
        for (const index_t slices : {8, 11, 64, 100}) {
            if (slices < world.size()) continue;
            const index_t first = slices * world.rank() / world.size();
            const index_t own = slices * (world.rank() + 1) / world.size() - first;
            for (const int ranks_of_node : {world.size(), 1, 2, 3})
                for (const bool in_turn : {false, true}) {  // ranks of a node need not follow each other
                    const int node = in_turn ? world.rank() % ((world.size() + ranks_of_node - 1) / ranks_of_node)
                                             : world.rank() / ranks_of_node;
                    const auto nodes = nodes_of(first, own, slices);
                    SharedSum sum(world, world.node().split(node), SharedSum::SliceTerms{slices, nodes});
                    const auto values = sum.allocate(size);
                    for (index_t step = 0; step < 3; ++step) {
                        for (std::size_t term = 0; term < nodes.size(); ++term) {
                            CHECK(reinterpret_cast<std::uintptr_t>(sum.term(term).data()) % 64 == 0);
                            std::ranges::copy(twin(static_cast<int>(nodes[term].first),
                                                   static_cast<int>(nodes[term].first + nodes[term].size), size, step),
                                              sum.term(term).begin());
                        }
                        for (const auto& [begin, end] :
                             {std::pair<index_t, index_t>{0, 5}, {5, 5}, {5, 700}, {700, size}})
                            sum.start(begin, end);
                        sum.finish();
                        CHECK(same_bits(values, twin(0, static_cast<int>(slices), size, step)));
                    }
                }
        }
    }

    TEST_CASE("shared sum: shared out, each rank gets the sums that it needs, and none the less the same bits") {
        const auto world = Communicator::world();
        constexpr index_t size = 1029;
        std::vector<index_t> firsts;  // of uneven parts, one of them empty
        for (index_t rank = 0; rank <= world.size(); ++rank)
            firsts.push_back(rank * rank * size / world.size() / world.size());
        if (world.size() > 2) firsts[1] = 0;
        const auto own = static_cast<std::size_t>(world.rank());
        const auto same_part = [&](std::span<const real> a, std::span<const real> b) {
            const auto first = static_cast<std::size_t>(firsts[own]),
                       count = static_cast<std::size_t>(firsts[own + 1]) - first;
            return same_bits(a.subspan(first, count), b.subspan(first, count));
        };
        const std::vector<index_t> bounds{0, 100, 101, 600, size};
        for (const int ranks_of_node : {1, 2, 3}) {
            const auto node = world.node().split(world.rank() / ranks_of_node);
            for (const auto message : {SharedSum::Message::exact, SharedSum::Message::bf16}) {
                SharedSum whole(world, node, message), part(world, node, message);
                whole.allocate(size);
                part.allocate(size);
                part.share_out(firsts);
                for (index_t step = 0; step < 3; ++step) {
                    sum_step(whole, world.rank(), step, bounds);
                    sum_step(part, world.rank(), step, bounds);
                    double error = 0, largest = 0;
                    for (auto k = static_cast<std::size_t>(firsts[own]); k < static_cast<std::size_t>(firsts[own + 1]);
                         ++k) {
                        error = std::max(error, std::abs(double{part.values()[k]} - double{whole.values()[k]}));
                        largest = std::max(largest, std::abs(double{whole.values()[k]}));
                    }
                    const bool rounded = message == SharedSum::Message::bf16;
                    CHECK(error <= largest * (rounded ? std::exp2(-5) : 1e-5));
                    if (node.size() == world.size()) CHECK(same_part(part.values(), whole.values()));
                }
                part.share_out({});  // and all get all again
                part.reset_residual();
                whole.reset_residual();
                sum_step(whole, world.rank(), 7, bounds);
                sum_step(part, world.rank(), 7, bounds);
                CHECK(same_bits(part.values(), whole.values()));
            }
            const index_t slices = 2 * world.size();
            const SharedSum::SliceTerms terms{slices, {{2 * world.rank(), 2}}};
            SharedSum whole(world, node, terms), part(world, node, terms);
            whole.allocate(size);
            part.allocate(size);
            part.share_out(firsts);
            sum_step(whole, world.rank(), 1, bounds);
            sum_step(part, world.rank(), 1, bounds);
            CHECK(same_part(part.values(), whole.values()));
        }
    }

    TEST_CASE("shared sum: memory shrinks and grows between steps") {
        const auto world = Communicator::world();
        SharedSum sum(world, world.node());
        index_t step = 0;
        for (const index_t size : {1000, 400, 3, 0, 500}) {
            const auto values = sum.allocate(size);
            CHECK(sum.values().data() == values.data());
            for (int repeat = 0; repeat < 3; ++repeat) {
                sum_step(sum, world.rank(), ++step, {0, size / 2, size});
                CHECK(same_bits(values, twin(0, world.size(), size, step)));
            }
        }
    }
}

TEST_CASE("shared sum: many steps, however late a rank is") {
    const auto world = Communicator::world();
    for (const int ranks_of_node : {world.size(), 2}) {
        SharedSum sum(world, world.node().split(world.rank() / ranks_of_node));
        const index_t size = 333;
        const auto values = sum.allocate(size);
        bool right = true;
        for (index_t step = 0; step < 400; ++step) {
            for (index_t i = 0; i < size; ++i)  // small whole numbers: exact in any order
                values[static_cast<std::size_t>(i)] = static_cast<real>(i + step + world.rank());
            if (step % 40 == 0 && step / 40 % world.size() == world.rank())
                std::this_thread::sleep_for(std::chrono::milliseconds(3));
            for (index_t begin = 0; begin < size; begin += 50) sum.start(begin, std::min(begin + 50, size));
            sum.finish();
            const int all = world.size();
            for (index_t i = 0; i < size; ++i)
                right = right && values[static_cast<std::size_t>(i)] ==
                                     static_cast<real>(all * (i + step) + all * (all - 1) / 2);
        }
        CHECK(right);
    }
}

TEST_CASE("shared sum: nothing is summed before all ranks have started, and starting does not wait") {
    const auto world = Communicator::world();
    SharedSum sum(world, world.node());
    const auto values = sum.allocate(100);
    for (int last = 0; last < world.size(); ++last) {
        std::ranges::fill(values, static_cast<real>(world.rank() + 1));
        world.barrier();
        if (world.rank() != last) {
            sum.start(0, 100);
            CHECK_FALSE(sum.progress());
        } else {
            CHECK(sum.progress());  // nothing was started here
        }
        CHECK(std::ranges::all_of(values, [&](real value) { return value == static_cast<real>(world.rank() + 1); }));
        world.barrier();
        if (world.rank() == last) sum.start(0, 100);
        sum.finish();
        const auto all = static_cast<real>(world.size() * (world.size() + 1) / 2);
        CHECK(std::ranges::all_of(values, [&](real value) { return value == all; }));
    }
}

TEST_CASE("shared sum: what is not in the array or not at rest is refused") {
    const auto world = Communicator::world();
    SharedSum sum(world, world.node());
    CHECK_THROWS_WITH(sum.start(0, 1), "a sum of [0, 1) of 0 values");
    sum.allocate(10);
    CHECK_THROWS_WITH(sum.start(0, 11), "a sum of [0, 11) of 10 values");
    CHECK_THROWS_WITH(sum.start(-1, 3), "a sum of [-1, 3) of 10 values");
    CHECK_THROWS_WITH(sum.start(4, 3), "a sum of [4, 3) of 10 values");
    sum.start(0, 10);
    CHECK_THROWS_WITH(sum.allocate(5), "the memory of a sum is replaced while the sum is in progress");
    sum.finish();
}
