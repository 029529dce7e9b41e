// The profile: whose time is whose, what is counted, what is printed.
#include <doctest/doctest.h>

#include <chrono>
#include <numeric>
#include <sstream>
#include <thread>

#include "../support/layer_bench.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/run/profile.hpp"

using namespace pruntrain;

namespace {

void sleep_s(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

const ProfileRow& find(const ProfileRows& rows, const std::string& name) {
    for (const auto& row : rows)
        if (row.name() == name) return row;
    throw std::runtime_error("no row " + name);
}

}  // namespace

TEST_CASE("profile: time belongs to the phase entered last, none is lost, none is counted twice") {
    const Timer timer;
    Profile profile(true, {"dense1", "relu1"});
    profile.enter(Phase::input);
    sleep_s(0.02);
    profile.enter(Phase::forward, 1);
    sleep_s(0.01);
    profile.enter(Phase::prune);
    sleep_s(0.03);
    profile.enter(Phase::input);
    sleep_s(0.01);
    profile.stop();
    sleep_s(0.02);
    profile.stop();
    profile.enter(Phase::backward);
    sleep_s(0.005);
    profile.stop();
    const double all_s = timer.seconds();

    const auto rows = profile.rows(Communicator::world());
    std::vector<std::string> names;
    for (const auto& row : rows) names.push_back(row.name());
    CHECK(names == std::vector<std::string>{"input", "forward relu1", "backward dense1", "prune"});
    // A sleep may be longer than asked, never shorter.
    CHECK(find(rows, "input").seconds >= 0.03);
    CHECK(find(rows, "forward relu1").seconds >= 0.01);
    CHECK(find(rows, "prune").seconds >= 0.03);
    CHECK(find(rows, "backward dense1").seconds >= 0.005);
    const double sum_s =
        std::accumulate(rows.begin(), rows.end(), 0.0, [](double sum, const auto& row) { return sum + row.seconds; });
    CHECK(sum_s <= all_s - 0.02);
    CHECK(find(rows, "input").times == 2);
    CHECK(find(rows, "prune").times == 1);
}

TEST_CASE("profile: off it measures nothing and counts nothing") {
    Profile profile(false, {"dense1"});
    profile.enter(Phase::forward, 0);
    profile.add({.flops = 1});
    profile.stop();
    CHECK(profile.rows(Communicator::world()).empty());
}

TEST_CASE("profile: work is added to the phase entered last") {
    Profile profile(true, {"a", "b"});
    profile.add({.flops = 1000});  // nothing is open: nobody's
    for (int step = 0; step < 3; ++step) {
        profile.enter(Phase::forward, 0);
        profile.add({.flops = 10});
        profile.enter(Phase::forward, 1);
        profile.add({.flops = 1, .summed_bytes = 8});
        profile.enter(Phase::update);
        profile.add({.moved_bytes = 5});
    }
    profile.stop();
    profile.add({.flops = 1000});
    const auto rows = profile.rows(Communicator::world());
    REQUIRE(rows.size() == 3);
    CHECK(find(rows, "forward a").work.flops == 30);
    CHECK(find(rows, "forward b").work.flops == 3);
    CHECK(find(rows, "forward b").work.summed_bytes == 24);
    CHECK(find(rows, "update").work.moved_bytes == 15);
    CHECK(find(rows, "update").work.flops == 0);
}

TEST_CASE("profile: the texts hold the numbers of the rows") {
    const ProfileRows rows{
        {.phase = Phase::forward,
         .layer = "dense1",
         .seconds = 1.5,
         .slowest_s = 2,
         .times = 4,
         .work = {.flops = 3e9}},
        {.phase = Phase::reduce, .seconds = 0.5, .slowest_s = 0.5, .times = 8, .work = {.summed_bytes = 2048}},
        {.phase = Phase::update, .seconds = 2, .slowest_s = 2.25, .times = 4, .work = {.moved_bytes = 1e9}},
        {.phase = Phase::prune, .seconds = 0.25, .slowest_s = 0.5, .times = 3},
    };
    CHECK(profile_csv(rows) ==
          "phase,layer,seconds,slowest_s,times,share,flops,moved_bytes,summed_bytes\n"
          "forward,dense1,1.5,2,4,0.375,3e+09,0,0\n"
          "reduce,,0.5,0.5,8,0.125,0,0,2048\n"
          "update,,2,2.25,4,0.5,0,1e+09,0\n"
          "prune,,0.25,0.5,3,,0,0,0\n");
    // 3e9 flops in 1.5 s are 2 GF/s, 1e9 bytes in 2 s are 0.5 GB/s; 3e9 flops in a step of 4 s are 0.75 GF/s.
    CHECK(profile_text(rows, 2) ==
          "\nprofile of 4 steps on 2 ranks: rank 0, and the seconds of the slowest rank\n\n"
          "  phase           seconds  slowest   share  GF/s  GB/s   summed\n"
          "  forward dense1    1.500    2.000  0.3750   2.0     -        -\n"
          "  reduce            0.500    0.500  0.1250     -     -  2.0 KiB\n"
          "  update            2.000    2.250  0.5000     -   0.5        -\n"
          "  step              4.000        -  1.0000   0.8     -  2.0 KiB\n\n"
          "  outside the step  seconds  slowest  times\n"
          "  prune               0.250    0.500      3\n");
    CHECK(profile_text({rows.back()}, 1).find("profile of 0 steps on 1 rank\n") == 1);
}

TEST_CASE("profile: multiply-adds of a layer against counting them one by one") {
    const auto count_dense = [](const Pattern& pattern, index_t samples) {
        index_t count = 0;
        for (index_t sample = 0; sample < samples; ++sample)
            for (std::size_t k = 0; k < pattern.dense_positions().size(); ++k) ++count;
        return static_cast<double>(count);
    };
    const auto remove_every_third = [](Layer& layer, Arena& arena) {
        std::vector<std::vector<std::uint8_t>> keep(layer.parameters().size());
        for (index_t k = 0; k < layer.parameters()[0]->pattern.kept(); ++k) keep[0].push_back(k % 3 == 0 ? 0 : 1);
        arena.keep(keep);
    };
    const auto dense = make_layer("{layer: dense, units: 5}", {7, 1, 1});
    const auto conv2d = make_layer("{layer: conv2d, channels: 4, kernel: 3, stride: 2, padding: 1}", {2, 6, 5});
    Arena dense_arena(dense->parameters()), conv2d_arena(conv2d->parameters());
    for (int round = 0; round < 2; ++round) {
        CHECK(dense->multiply_adds(11) == count_dense(dense->parameters()[0]->pattern, 11));
        double in_pixels = 0;  // 3 x 3 output pixels: each applies the whole window, padding included
        for (int pixel = 0; pixel < 3 * 3; ++pixel) in_pixels += count_dense(conv2d->parameters()[0]->pattern, 11);
        CHECK(conv2d->multiply_adds(11) == in_pixels);
        remove_every_third(*dense, dense_arena);
        remove_every_third(*conv2d, conv2d_arena);
    }
    CHECK(dense->multiply_adds(0) == 0);
    CHECK(make_layer("{layer: relu}", {7, 1, 1})->multiply_adds(11) == 0);
}
