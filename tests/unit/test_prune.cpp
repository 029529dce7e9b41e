#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/random.hpp"
#include "pruntrain/parallel/select.hpp"
#include "pruntrain/prune/pruner.hpp"

using namespace pruntrain;

namespace {

const RunLength length{.steps_per_epoch = 100, .steps = 1000};

std::unique_ptr<PruneSchedule> schedule(const std::string& yaml, double final_sparsity, const RunLength& run = length) {
    const Config section = Config::parse("s: {" + yaml + "}", "test", {}).section("s");
    return prune_schedules().find(section.word("type", std::nullopt, ""))(section, final_sparsity, run);
}

Network network_of(const std::string& model, index_t inputs) {
    return {Config::parse("model: [" + model + "]", "test", {}).list("model"), {inputs, 1, 1}};
}

}  // namespace

TEST_CASE("prune: the removed count is the floor of the decimal fraction") {
    CHECK(removed_count(0.95, 266200) == 252890);
    CHECK(removed_count(0.9, 10) == 9);
    CHECK(removed_count(0.29, 100) == 29);  // 0.29 * 100 is 28.999999999999996 in binary
    CHECK(removed_count(0.95, 19) == 18);
    CHECK(removed_count(0, 5) == 0);
    for (index_t n = 1; n < 2000; ++n)
        for (index_t percent = 0; percent < 100; ++percent)
            CHECK(removed_count(static_cast<double>(percent) / 100, n) == percent * n / 100);
}

TEST_CASE("prune: order keys keep the order of the scores") {
    const real infinity = std::numeric_limits<real>::infinity();
    const std::vector<real> ascending{
        -infinity, -3, real(-1e-30), 0, std::numeric_limits<real>::denorm_min(), real(1e-30), 1, 2, infinity};
    for (std::size_t i = 0; i + 1 < ascending.size(); ++i) CHECK(order_key(ascending[i]) < order_key(ascending[i + 1]));
    CHECK(order_key(real(-0.0)) == order_key(real(0)));
    CHECK_THROWS(order_key(std::numeric_limits<real>::quiet_NaN()));
}

TEST_CASE("prune: schedules") {
    // ALGORITHM A2 of Zhu & Gupta 2017 at ten events
    const auto cubic = schedule("type: cubic, start_step: 0, end_step: 100, every_steps: 10", 0.9);
    const double expected[] = {0, .2439, .4392, .5913, .7056, .7875, .8424, .8757, .8928, .8991, .9};
    for (int event = 0; event <= 10; ++event) {
        CHECK(cubic->event_at(10 * event));
        CHECK(cubic->sparsity_at(10 * event) == doctest::Approx(expected[event]).epsilon(1e-4));
    }
    CHECK(cubic->sparsity_at(100) == 0.9);
    CHECK_FALSE(cubic->event_at(5));
    CHECK_FALSE(cubic->event_at(110));
    CHECK(cubic->sparsity_at(500) == 0.9);

    const auto linear =
        schedule("type: linear, start_epoch: 1, end_epoch: 2.55, every_steps: 50, initial_sparsity: 0.1", 0.5);
    CHECK(linear->sparsity_at(99) == 0);
    CHECK(linear->sparsity_at(100) == doctest::Approx(0.1));
    CHECK(linear->sparsity_at(200) == doctest::Approx(0.1 + 0.4 * 100 / 155));
    CHECK(linear->event_at(255));  // forced: 155 is no multiple of 50
    CHECK(linear->sparsity_at(255) == 0.5);

    const auto exponential = schedule("type: exponential, start_step: 0, end_step: 100, every_steps: 10", 0.99);
    for (index_t step = 0; step <= 100; step += 10)
        CHECK(exponential->sparsity_at(step) == doctest::Approx(1 - std::pow(0.01, static_cast<double>(step) / 100)));
    CHECK(exponential->sparsity_at(100) == 0.99);
    const auto from = schedule("type: exponential, start_step: 0, end_step: 10, initial_sparsity: 0.5", 0.875);
    CHECK(from->sparsity_at(0) == 0.5);
    CHECK(from->sparsity_at(5) == doctest::Approx(0.75));

    const auto ac_dc = schedule("type: ac_dc, start_step: 20, end_step: 75, every_steps: 10", 0.9);
    for (const auto& [step, sparsity] :
         {std::pair{0, 0.0}, {19, 0.0}, {20, 0.9}, {29, 0.9}, {30, 0.0}, {40, 0.9}, {70, 0.0}, {75, 0.9}, {999, 0.9}})
        CHECK(ac_dc->sparsity_at(step) == sparsity);
    for (index_t step = 0; step <= 1000; ++step)
        CHECK(ac_dc->event_at(step) == (step == 75 || (step >= 20 && step < 75 && step % 10 == 0)));
    CHECK(ac_dc->end_step() == 75);

    const auto once = schedule("type: one_shot, at_step: 7", 0.8);
    for (index_t step = 0; step <= 1000; ++step) CHECK(once->event_at(step) == (step == 7));
    CHECK(once->sparsity_at(6) == 0);
    CHECK(once->sparsity_at(7) == 0.8);
}

TEST_CASE("prune: every schedule reaches its final sparsity within the run, however short it is, with clamp") {
    for (const auto& member : prune_schedules().members())
        for (const index_t steps : {0, 1, 30, 1000})
            for (const std::string keys :
                 {"", ", start_step: 20, end_step: 500, every_steps: 7, clamp: true", ", at_step: 400, clamp: true"}) {
                if (member.name == "rewinding") continue;  // several trainings: test_rewinding
                if (keys.find("at_step") == 2 && member.name != "one_shot") continue;
                if (keys.find("start") != std::string::npos && member.name == "one_shot") continue;
                const std::string needs = member.name == "threshold" ? ", threshold: 0" : "";
                const auto any =
                    schedule("type: " + member.name + needs + keys, 0.7, {.steps_per_epoch = 10, .steps = steps});
                index_t events = 0, last = -1;
                double before = 0;
                for (index_t step = 0; step <= steps; ++step) {
                    if (!any->traits().holds(Trait::reactivates_all)) CHECK(any->sparsity_at(step) >= before);
                    before = any->sparsity_at(step);
                    if (any->event_at(step)) ++events, last = step;
                }
                CHECK(events > 0);
                CHECK(last == any->end_step());
                CHECK(any->sparsity_at(last) == 0.7);
            }
    CHECK_THROWS_AS(schedule("type: cubic, start_step: 500, end_step: 400", 0.7), InputError);
    CHECK_THROWS_AS(schedule("type: cubic, start_step: 500, start_epoch: 4", 0.7), InputError);
    CHECK_THROWS_AS(schedule("type: cubic, initial_sparsity: 0.8", 0.7), InputError);
}

TEST_CASE("prune: a schedule that does not fit the run is refused") {
    const RunLength run{.steps_per_epoch = 10, .steps = 40}, none{.steps_per_epoch = 10, .steps = 0};
    for (const std::string keys : {"type: cubic, start_step: 41, end_step: 60", "type: one_shot, at_step: 41",
                                   "type: ac_dc, start_epoch: 4.1, end_epoch: 5", "type: linear, start_epoch: 9",
                                   "type: cubic, start_step: 40, end_step: 60",  // a single event, at the end
                                   "type: exponential, start_step: 30, end_step: 60, every_steps: 10"}) {
        INFO(keys);
        CHECK_THROWS_WITH_AS(schedule(keys, 0.7, run), doctest::Contains("clamp: true"), InputError);
        const bool late = keys.find("epoch: 9") != std::string::npos;  // after the default end
        if (!late) CHECK(schedule(keys + ", clamp: true", 0.7, run)->sparsity_at(40) == 0.7);
        if (!late) CHECK(schedule(keys, 0.7, none)->sparsity_at(0) == 0.7);
    }
    CHECK(schedule("type: cubic, start_step: 10, end_step: 60, every_steps: 10", 0.7, run)->end_step() == 40);
    CHECK(schedule("type: one_shot, at_step: 40", 0.7, run)->event_at(40));
}

namespace {

std::unique_ptr<Regrowth> regrowth(const std::string& yaml) {
    const Config section = Config::parse("r: {" + yaml + "}", "test", {}).section("r");
    return regrowths().find(section.word("type", std::nullopt, ""))(section, 1, length);
}

}  // namespace

TEST_CASE("prune: the fraction that regrows falls as half a cosine, or not at all") {
    // a/2 (1 + cos(pi t/T)) of Evci et al. 2020, section 3, with a = 0.3 at ten intervals
    const double expected[] = {.3, .29266, .27135, .23817, .19635, .15, .10365, .06183, .02865, .00734, 0};
    const auto cosine = regrowth("type: gradient, start_step: 200, end_step: 300, every_steps: 10");
    for (int event = 0; event <= 10; ++event) {
        CHECK(cosine->fraction_at(200 + 10 * event) == doctest::Approx(expected[event]).epsilon(1e-3));
        CHECK(cosine->event_at(200 + 10 * event) == (event > 0));  // the first after an interval
    }
    CHECK(cosine->fraction_at(250) == doctest::Approx(0.15).epsilon(1e-12));
    for (const index_t step : {0, 100, 205, 310}) CHECK_FALSE(cosine->event_at(step));

    const auto constant = regrowth("type: random, fraction: 0.4, decay: constant, every_epochs: 0.5");
    for (index_t step = 0; step <= 1000; ++step) {
        CHECK(constant->fraction_at(step) == 0.4);
        CHECK(constant->event_at(step) == (step > 0 && step <= 750 && step % 50 == 0));
    }
    CHECK_FALSE(regrowth("type: random, end_epoch: 10")->event_at(1000));  // nothing would train what comes back
    CHECK(regrowth("type: none") == nullptr);
}

TEST_CASE("prune: regrowth that does not fit is an error before training") {
    CHECK_THROWS_WITH_AS(regrowth("type: random, start_step: 500, end_step: 400"),
                         "regrowth (r.end_epoch) ends at step 400, before its start at step 500: give an end after the "
                         "start",
                         InputError);
    CHECK_THROWS_AS(regrowth("type: random, every_steps: 5, every_epochs: 4"), InputError);
    CHECK_THROWS_AS(regrowth("type: random, fraction: 1"), InputError);
    for (const std::string late : {"start_step: 1001", "start_epoch: 10.5"}) {
        CHECK_THROWS_WITH_AS(regrowth("type: random, " + late),
                             doctest::Contains("is after the end of the run, which is epoch 10 (step 1000): give an "
                                               "earlier time, more train.epochs, or r.clamp: true"),
                             InputError);
        CHECK_FALSE(regrowth("type: random, end_epoch: 26, clamp: true, " + late)->event_at(1000));
    }
    CHECK_THROWS_AS(regrowth("type: random, decay: linear"), InputError);
    const Network network = network_of("{layer: dense, units: 10}", 10);
    for (const std::string granularity : {"row", "{type: block, columns: 5}", "{type: n_m, n: 2, m: 4}"}) {
        const Config section =
            Config::parse("p: {final_sparsity: 0.5, regrow: random, granularity: " + granularity + "}", "test", {})
                .section("p");
        CHECK_THROWS_AS(Pruner(section, 1, length, network), InputError);
    }
}

TEST_CASE("prune: apportionment is exact and within its bounds") {
    const RandomStream random(5, Purpose::test);
    for (std::uint64_t round = 0; round < 200; ++round) {
        std::vector<PrunableLayer> layers(4);
        std::vector<double> wanted;
        index_t floors = 0, kept = 0;
        for (std::size_t i = 0; i < layers.size(); ++i) {
            layers[i].size = 1 + static_cast<index_t>(50 * random.uniform(10 * round + i));
            layers[i].kept = layers[i].size;
            layers[i].at_least = 1 + static_cast<index_t>(random.uniform(10 * round + i + 4) * 0.2 *
                                                          static_cast<double>(layers[i].size - 1));
            floors += layers[i].at_least;
            kept += layers[i].kept;
        }
        const index_t keep =
            floors + static_cast<index_t>(random.uniform(10 * round + 8) * static_cast<double>(kept - floors));
        for (const auto& layer : layers)
            wanted.push_back(static_cast<double>(keep * layer.size) / static_cast<double>(kept));
        const auto shares = apportion(wanted, layers, keep);
        CHECK(std::accumulate(shares.begin(), shares.end(), index_t{0}) == keep);
        for (std::size_t i = 0; i < layers.size(); ++i) {
            CHECK(shares[i] >= layers[i].at_least);
            CHECK(shares[i] <= layers[i].kept);
        }
    }
    // Largest remainders: 2.5, 1.3, 1.2 of 5
    const std::vector<PrunableLayer> plain{
        {"a", {2, 5}, 10, 10, 1}, {"b", {2, 5}, 10, 10, 1}, {"c", {2, 5}, 10, 10, 1}};
    CHECK(apportion({2.5, 1.3, 1.2}, plain, 5) == std::vector<index_t>{3, 1, 1});
}

TEST_CASE("prune: allocations") {
    const std::vector<PrunableLayer> layers{
        {"one", {10, 100}, 1000, 1000, 1}, {"two", {10, 10}, 100, 100, 1}, {"three", {2, 5}, 10, 10, 1}};
    const auto groups = [&](const std::string& yaml, index_t keep, double progress) {
        const Config section = Config::parse("a: {" + yaml + "}", "test", {}).section("a");
        return allocations().find(section.word("type", std::nullopt, ""))(section)->groups(layers, keep, progress);
    };
    const auto global = groups("type: global", 111, 1);
    CHECK(global.size() == 1);
    CHECK(global[0].layers == std::vector<std::size_t>{0, 1, 2});
    CHECK(global[0].keep == 111);
    const auto uniform = groups("type: uniform", 111, 1);
    CHECK(uniform[0].keep == 100);
    CHECK(uniform[1].keep == 10);
    CHECK(uniform[2].keep == 1);
    // Half-way to final sparsities of 0.8 and 0.5; 'one' takes what is left of 600.
    const auto table = groups("type: per_layer, sparsity: {two: 0.8, three: 0.5}", 600, 0.5);
    CHECK(table[1].keep == 60);
    CHECK(table[2].keep == 7);  // 7.5 and 532.5: the first of equal remainders gets the last weight
    CHECK(table[0].keep == 533);
    for (const auto& member : allocations().members()) {
        const std::string yaml = "type: " + member.name + (member.name == "per_layer" ? ", sparsity: {one: 0.5}" : "");
        for (const index_t keep : {600, 1110}) {
            index_t sum = 0;
            for (const auto& group : groups(yaml, keep, 0.9)) sum += group.keep;
            CHECK(sum == keep);
        }
    }
}

namespace {

/// The densities that an allocation gives layers of these shapes.
std::vector<double> densities(const std::string& yaml, const std::vector<std::vector<index_t>>& shapes, double density,
                              double progress = 1) {
    std::vector<PrunableLayer> layers;
    index_t all = 0;
    for (const auto& shape : shapes) {
        const index_t size = std::accumulate(shape.begin(), shape.end(), index_t{1}, std::multiplies<>());
        layers.push_back({text("layer", layers.size()), shape, size, size, 1});
        all += size;
    }
    const Config section = Config::parse("a: {" + yaml + "}", "test", {}).section("a");
    const auto allocation = allocations().find(section.word("type", std::nullopt, ""))(section);
    std::vector<double> result(layers.size());
    const index_t keep = all - removed_count(progress * (1 - density), all);
    for (const auto& group : allocation->groups(layers, keep, progress))
        result[group.layers.front()] =
            static_cast<double>(group.keep) / static_cast<double>(layers[group.layers.front()].size);
    return result;
}

}  // namespace

TEST_CASE("prune: Erdos-Renyi-Kernel gives the densities of its authors' program") {
    const std::vector<std::vector<index_t>> lenet300{{300, 784}, {100, 300}, {10, 100}};
    const std::vector<std::vector<index_t>> lenet5{{20, 1, 5, 5}, {50, 20, 5, 5}, {500, 800}, {10, 500}};
    const auto check = [](const std::vector<double>& found, const std::vector<double>& expected,
                          const std::vector<index_t>& sizes) {
        REQUIRE(found.size() == expected.size());
        for (std::size_t i = 0; i < found.size(); ++i)  // whole weights, and five digits of the expected
            CHECK(std::abs(found[i] - expected[i]) <= 1.001 / static_cast<double>(sizes[i]) + 5e-6);
    };
    const std::vector<index_t> small{235200, 30000, 1000}, large{500, 25000, 400000, 5000};
    for (const auto& [density, first, second] :
         {std::tuple{0.2, std::vector{0.16224, 0.46936, 1.0}, std::vector{1.0, 0.1869, 0.18982, 1.0}},
          {0.1, {0.07957, 0.23019, 1.0}, {1.0, 0.08707, 0.08843, 1.0}},
          {0.05, {0.03848, 0.11133, 0.91851}, {0.72612, 0.03748, 0.03806, 1.0}},
          {0.02, {0.01539, 0.04453, 0.3674}, {0.27789, 0.01434, 0.01457, 0.45717}},
          {0.01, {0.0077, 0.02227, 0.1837}, {0.13894, 0.00717, 0.00728, 0.22858}}}) {
        CAPTURE(density);
        check(densities("type: erk", lenet300, density), first, small);
        check(densities("type: erk", lenet5, density), second, large);
        check(densities("type: erdos_renyi", lenet300, density), first, small);  // no kernels here
    }
    // Half-way each layer has lost half of what it will lose.
    const auto half = densities("type: erk", lenet300, 0.1, 0.5);
    check(half, {(1 + 0.07957) / 2, (1 + 0.23019) / 2, 1.0}, small);
    // Power 0 would be uniform; small powers come near it.
    for (const double one : densities("type: erk, power: 0.001", lenet5, 0.1)) CHECK(std::abs(one - 0.1) < 0.003);
}

TEST_CASE("prune: LAMP scores are s^2 over the squares of all that are no smaller") {
    const Config section = Config::parse("a: {type: lamp}", "test", {}).section("a");
    const auto lamp = allocations().find("lamp")(section);
    const RandomStream random(3, Purpose::test);
    for (const index_t size : {1, 2, 7, 500}) {
        std::vector<real> scores;
        for (index_t i = 0; i < size; ++i)  // some equal, some zero
            scores.push_back(static_cast<real>(std::max(0.0, std::round(8 * std::abs(random.normal(i))) - 2)));
        std::vector<real> found = scores;
        lamp->compare_layers(found, Communicator::world());
        for (std::size_t i = 0; i < scores.size(); ++i) {
            double sum = 0;
            for (const real other : scores)
                if (other >= scores[i]) sum += static_cast<double>(other) * static_cast<double>(other);
            const double expected =
                scores[i] == 0 ? 0 : static_cast<double>(scores[i]) * static_cast<double>(scores[i]) / sum;
            CHECK(found[i] == static_cast<real>(expected));
        }
    }
    std::vector<real> three{3, 1, 2};
    lamp->compare_layers(three, Communicator::world());
    CHECK(three == std::vector<real>{1, static_cast<real>(1.0 / 14), static_cast<real>(4.0 / 13)});
}

TEST_CASE("prune: an impossible final sparsity is an error before training") {
    Network network = network_of("{layer: dense, units: 4}, {layer: dense, units: 2, name: out}", 3);
    const auto build = [&](const std::string& yaml) {
        const Pruner pruner(Config::parse("p: {" + yaml + "}", "test", {}).section("p"), 1, length, network);
    };
    CHECK_NOTHROW(build("final_sparsity: 0.9"));  // keeps 2 of 20
    CHECK_THROWS_AS(build("final_sparsity: 0.95"), InputError);
    CHECK_THROWS_AS(build("final_sparsity: 1"), InputError);
    CHECK_THROWS_AS(build("final_sparsity: 0.5, allocation: {type: per_layer, sparsity: {none: 0.5}}"), InputError);
    CHECK_THROWS_AS(build("final_sparsity: 0.9, allocation: {type: per_layer, sparsity: {dense1: 0.1}}"), InputError);
    CHECK_THROWS_AS(build("final_sparsity: 0.5, allocation: per_layer"), InputError);
    Network fixed = network_of("{layer: dense, units: 4, prunable: false}", 3);
    CHECK_THROWS_AS(Pruner(Config::parse("p: {final_sparsity: 0.5}", "test", {}).section("p"), 1, length, fixed),
                    InputError);
}
