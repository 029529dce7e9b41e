#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "pruntrain/prune/pruner.hpp"

using namespace pruntrain;

namespace {

const RunLength training{.steps_per_epoch = 10, .steps = 30};

std::unique_ptr<PruneSchedule> schedule(const std::string& yaml, double final_sparsity = 0.9) {
    const Config section = Config::parse("s: {" + yaml + "}", "test", {}).section("s");
    return prune_schedules().find("rewinding")(section, final_sparsity, training);
}

Network network_of(const std::string& model, index_t inputs) {
    return {Config::parse("model: [" + model + "]", "test", {}).list("model"), {inputs, 1, 1}};
}

std::vector<real> copy_of(std::span<const real> numbers) { return {numbers.begin(), numbers.end()}; }

}  // namespace

TEST_CASE("rewinding: a run is a whole training, then one from an earlier step on after each round") {
    const auto any = schedule("rounds: 3, to_step: 8");
    const Rewinding rewinding = any->rewinding();
    CHECK(rewinding.run_steps() == 30 + 3 * 22);
    CHECK(any->end_step() == 74);
    // Walked step by step, as the trainer does.
    index_t expected = 0, events = 0;
    for (index_t step = 0; step < rewinding.run_steps(); ++step) {
        if (expected == training.steps) expected = 8, ++events;
        CHECK(rewinding.training_step(step) == expected++);
        CHECK(rewinding.ended_by(step) == events);
        CHECK(rewinding.update_number(step) == rewinding.training_step(step) + 1);
        CHECK(rewinding.rewinds_at(step) == (step == 30 || step == 52 || step == 74));
        CHECK(any->event_at(step) == rewinding.rewinds_at(step));
        CHECK(rewinding.remembers_at(step) == (step == 8));
    }
    CHECK(events == 3);
    CHECK_FALSE(any->event_at(rewinding.run_steps()));  // nothing trains what it would leave

    CHECK(any->sparsity_at(29) == 0);
    CHECK(any->sparsity_at(30) == doctest::Approx(1 - std::cbrt(0.1)));
    CHECK(any->sparsity_at(73) == doctest::Approx(1 - std::cbrt(0.01)));
    CHECK(any->sparsity_at(74) == 0.9);  // exactly
    CHECK(schedule("to_epoch: 1.5")->rewinding().to() == 15);
    CHECK(schedule("rounds: 2")->rewinding().run_steps() == 90);
}

TEST_CASE("rewinding: without it a run is one training") {
    const Rewinding none;
    for (const index_t step : {index_t{0}, index_t{7}, index_t{1} << 40}) {
        CHECK(none.training_step(step) == step);
        CHECK(none.update_number(step) == step + 1);
        CHECK_FALSE(none.rewinds_at(step));
        CHECK_FALSE(none.remembers_at(step));
    }
    CHECK(none.slot_names({"momentum"}).empty());
}

TEST_CASE("rewinding: an optimizer that begins anew counts from 1") {
    const Rewinding rate(Rewind::learning_rate, 30, 8, 2), random(Rewind::random, 30, 8, 2);
    CHECK(rate.update_number(29) == 30);
    CHECK(rate.update_number(30) == 1);
    CHECK(rate.update_number(52) == 1);
    CHECK(rate.training_step(52) == 8);
    CHECK(random.update_number(30) == 9);  // back to the weights and slots of step 8
    CHECK(random.update_number(52) == 1);
    CHECK(rate.slot_names({"momentum"}).empty());  // it goes back to no weights
    CHECK(random.slot_names({"momentum"}) == std::vector<std::string>{"rewind_values", "rewind_momentum"});
}

TEST_CASE("rewinding: survivors get back what they were, also when the arena is laid out anew in between") {
    const Rewinding rewinding(Rewind::weights, 30, 8, 1);
    Network network = network_of("{layer: dense, units: 4}", 3);
    Arena& arena = network.arena();
    arena.create_slots({"momentum", "movement", "rewind_values", "rewind_momentum"});
    const auto number = [](std::span<real> numbers, real first) {
        for (real& one : numbers) one = first++;
    };
    number(arena.values(), 100);
    number(arena.slot(0), 200);
    rewinding.remember(arena);
    number(arena.values(), 300);
    number(arena.slot(0), 400);
    number(arena.slot(1), 500);
    std::vector<std::vector<std::uint8_t>> keep(2);  // of weight and bias
    for (std::size_t i = 0; i < keep.size(); ++i)
        if (arena.parameters()[i]->prunable) keep[i] = {1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 1};
    const auto offset = static_cast<real>(arena.offset(0));
    arena.keep(keep);
    rewinding.rewind(30, 1, network);
    for (const auto* parameter : arena.parameters())
        if (parameter->prunable)
            CHECK(copy_of(parameter->value) ==
                  std::vector<real>{100 + offset, 103 + offset, 107 + offset, 110 + offset, 111 + offset});
    for (index_t k = 0; k < arena.size(); ++k) CHECK(arena.slot(0)[k] == arena.values()[k] + 100);
    CHECK(std::ranges::count(arena.slot(1), 0) == arena.size());  // a criterion sees each training by itself
}

TEST_CASE("rewinding: trained weights stay, random ones are new") {
    Network network = network_of("{layer: dense, units: 40}", 30);
    Arena& arena = network.arena();
    arena.create_slots({"momentum", "rewind_values", "rewind_momentum"});
    network.initialize(7);
    const auto first = copy_of(arena.values());
    const Rewinding random(Rewind::random, 30, 0, 2);
    random.remember(arena);
    for (real& value : arena.values()) value += 1;
    const auto trained = copy_of(arena.values());

    std::ranges::fill(arena.slot(0), real{3});
    Rewinding(Rewind::learning_rate, 30, 0, 2).rewind(30, 7, network);
    CHECK(copy_of(arena.values()) == trained);
    CHECK(std::ranges::count(arena.slot(0), 0) == arena.size());

    random.rewind(30, 7, network);  // before the last training
    CHECK(copy_of(arena.values()) == first);
    random.rewind(60, 7, network);
    std::size_t same = 0;
    for (std::size_t k = 0; k < first.size(); ++k) same += first[k] != 0 && arena.values()[k] == first[k];
    CHECK(same == 0);
}

TEST_CASE("rewinding: what does not fit is an error before training") {
    CHECK_THROWS_WITH_AS(
        schedule("to_step: 30"),
        "s.to_step (test, line 1) is not before step 30, where the first training ends and its weights are "
        "pruned: give an earlier one, or more train.epochs",
        InputError);
    CHECK_THROWS_AS(schedule("to_epoch: 3"), InputError);
    CHECK_THROWS_AS(schedule("to_epoch: 1, to_step: 4"), InputError);
    CHECK_THROWS_AS(schedule("rounds: 0"), InputError);
    CHECK_THROWS_AS(schedule("rewind: everything"), InputError);
    const Network network = network_of("{layer: dense, units: 10}", 10);
    const auto build = [&](const std::string& keys) {
        const Pruner pruner(
            Config::parse("p: {final_sparsity: 0.5, schedule: {type: rewinding}, " + keys + "}", "test", {})
                .section("p"),
            1, training, network);
    };
    CHECK_NOTHROW(build("criterion: movement"));
    CHECK_THROWS_WITH_AS(
        build("regrow: random"),
        "p.regrow.type (test, line 1) makes weights active again, but the schedule is rewinding, and the "
        "step to which it returns has the remaining weights only: set regrow to none, or choose another schedule",
        InputError);
}
