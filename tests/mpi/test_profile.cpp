// The profile over several ranks.
#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "pruntrain/run/profile.hpp"

using namespace pruntrain;

TEST_CASE("profile: the slowest rank is known to all, a phase that only it has entered included") {
    const auto world = Communicator::world();
    const bool last = world.rank() == world.size() - 1;
    Profile profile(true, {});
    profile.enter(Phase::input);
    std::this_thread::sleep_for(std::chrono::milliseconds(10 * world.rank()));
    if (last) profile.enter(Phase::loss);
    profile.enter(Phase::update);
    profile.stop();
    const auto rows = profile.rows(world);
    REQUIRE(rows.size() == (last ? 3 : 2));
    CHECK(rows[0].slowest_s >= 0.010 * (world.size() - 1));
    CHECK(rows[0].slowest_s >= rows[0].seconds);
    CHECK(rows[0].slowest_s == world.all_reduce_max(rows[0].seconds));
    CHECK(rows.back().phase == Phase::update);
}
