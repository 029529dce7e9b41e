#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "pruntrain/base/error.hpp"
#include "pruntrain/comm/communicator.hpp"

using namespace pruntrain;

TEST_CASE("communicator: sums, largest, broadcast, gather") {
    const auto world = Communicator::world();
    const int rank = world.rank(), size = world.size();
    std::array<double, 2> sums{1.0, static_cast<double>(rank)};
    world.all_reduce_sum(std::span<double>(sums));
    CHECK(sums[0] == size);
    CHECK(sums[1] == size * (size - 1) / 2.0);
    CHECK(world.all_reduce_max(static_cast<double>(rank)) == size - 1);
    std::string word = rank == size - 1 ? "hello" : "";
    world.broadcast_text(word, size - 1);
    CHECK(word == "hello");
    const auto all = world.all_gather(static_cast<std::uint64_t>(rank * rank));
    for (int r = 0; r < size; ++r) CHECK(all[static_cast<std::size_t>(r)] == static_cast<std::uint64_t>(r * r));
    const auto halves = world.split(rank % 2);
    CHECK(halves.size() == (size + 1 - rank % 2) / 2);
}

TEST_CASE("communicator: a failure of one rank is a failure of all, with its message and kind") {
    const auto world = Communicator::world();
    for (int bad = 0; bad < world.size(); ++bad) {
        const auto throws_there = [&] {
            if (world.rank() >= bad) input_error("file of rank ", world.rank());
        };
        CHECK_THROWS_WITH_AS(world.rethrow_collectively(throws_there), text("file of rank ", bad).c_str(), InputError);
        const auto faults_there = [&] {
            if (world.rank() == bad) fault("out of paper");
        };
        CHECK_THROWS_WITH(world.rethrow_collectively(faults_there), text("rank ", bad, ": out of paper").c_str());
    }
    CHECK_NOTHROW(world.rethrow_collectively([] {}));
}

TEST_CASE("communicator: shared memory is one per node") {
    const auto node = Communicator::world().node();
    const SharedWindow window(node, 1000);
    CHECK(window.bytes().size() == 1000);
    if (node.is_root())
        for (std::size_t i = 0; i < 1000; ++i) window.bytes()[i] = static_cast<std::byte>(i % 251);
    window.publish();
    bool right = true;
    for (std::size_t i = 0; i < 1000; ++i) right = right && window.bytes()[i] == static_cast<std::byte>(i % 251);
    CHECK(right);
    const SharedWindow empty(node, 0);
    CHECK(empty.bytes().empty());

    const auto parts = SharedWindow::with_parts(node, 1000);
    for (auto& byte : parts.part(node.rank())) byte = static_cast<std::byte>(node.rank() + 1);
    parts.publish();
    for (int rank = 0; rank < node.size(); ++rank) {
        CHECK(parts.part(rank).size() == 1000);
        CHECK(std::ranges::all_of(parts.part(rank), [&](std::byte b) { return b == std::byte(rank + 1); }));
    }
}
