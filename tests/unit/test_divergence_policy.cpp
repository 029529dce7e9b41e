#include <doctest/doctest.h>

#include <limits>
#include <utility>

#include "../support/training.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/train/divergence_policy.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

using Limits = std::numeric_limits<real>;
using Action = DivergencePolicy::Action;

const std::string found = "the loss is nan", where = " at step 12";

}  // namespace

TEST_CASE("describe_non_finite: of any set of parameters, the one nearest the loss is named") {
    Training training;
    Arena& arena = training.arena();
    const Grid& grid = training.experiment.grid;
    const std::vector<std::string> names{"dense1.weight", "dense1.bias", "dense2.weight", "dense2.bias"};
    for (const real spoilt : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()})
        for (unsigned set = 0; set < 16; ++set) {
            std::ranges::fill(arena.gradients(), Limits::max());
            std::string last;
            for (std::size_t i = 0; i < names.size(); ++i) {
                REQUIRE(arena.parameters()[i]->full_name() == names[i]);
                if ((set >> i & 1) == 0) continue;
                arena.parameters()[i]->gradient.back() = spoilt;
                last = names[i];
            }
            const std::string text_of_set = set == 0 ? "" : "the gradient of " + last + " is not finite";
            CHECK(describe_non_finite(arena, grid, 1, false) == text_of_set);
            CHECK(describe_non_finite(arena, grid, 1, true) == text_of_set);
            CHECK(describe_non_finite(arena, grid, INFINITY, false) ==
                  "the loss is inf" + (set == 0 ? "" : ", " + text_of_set));
        }
}

TEST_CASE(
    "describe_non_finite: the first and the last value of a parameter count, values that are only extreme do not") {
    Training training;
    Arena& arena = training.arena();
    const auto check = [&] { return describe_non_finite(arena, training.experiment.grid, 0, false); };
    const std::vector<real> extreme{Limits::max(), Limits::lowest(), Limits::denorm_min(), -real{0}};
    for (std::size_t k = 0; k < arena.gradients().size(); ++k) arena.gradients()[k] = extreme[k % 4];
    CHECK(check().empty());
    for (std::size_t k = 0; k < arena.gradients().size(); ++k) {
        const real before = std::exchange(arena.gradients()[k], Limits::quiet_NaN());
        CHECK(check().ends_with("is not finite"));
        arena.gradients()[k] = before;
    }
    CHECK(check().empty());
}

TEST_CASE("describe_non_finite: a sample that is not finite spoils the loss and the gradients of a real step") {
    Training training;
    const Batch& batch = training.batch(0);
    *batch.slices[0].input = Limits::infinity();
    training.step.begin(batch, {});
    const StepSums sums = training.step.finish();
    const std::string all = describe_non_finite(training.arena(), training.experiment.grid, sums.loss, false);
    CHECK(all.starts_with("the loss is "));
    CHECK(all.ends_with("the gradient of dense2.bias is not finite"));
}

TEST_CASE("divergence policy: where all is finite, the update is applied, whatever the policy") {
    for (const NonFinite name : {NonFinite::stop, NonFinite::skip, NonFinite::roll_back}) {
        const auto decision = DivergencePolicy(name).decide("", "", 0, 0.5);
        CHECK(decision.action == Action::apply);
    }
}

TEST_CASE("divergence policy: stop ends the run, and says why, where and what is saved") {
    DivergencePolicy policy(NonFinite::stop);
    CHECK_THROWS_WITH_AS(policy.decide(found, where, 10, 1),
                         "the loss is nan at step 12: lower optimizer.learning_rate, set optimizer.clip_norm, or look "
                         "for bad samples; nothing after step 10 is saved",
                         InputError);
}

TEST_CASE("divergence policy: skip leaves ten updates out in a row, not eleven, and counts from 0 after an update") {
    DivergencePolicy policy(NonFinite::skip);
    for (int start = 0; start < 3; ++start) {
        for (int step = 0; step < 10; ++step) {
            const auto decision = policy.decide(found, where, 0, 0.25);
            CHECK(decision.action == Action::skip);
            CHECK(decision.rate_factor == 0.25);
        }
        if (start < 2) CHECK(policy.decide("", "", 0, 0.25).action == Action::apply);
    }
    CHECK_THROWS_WITH_AS(
        policy.decide(found, where, 3, 0.25),
        "the loss is nan at step 12, after 10 consecutive skipped steps: lower optimizer.learning_rate, "
        "set optimizer.clip_norm, or look for bad samples; nothing after step 3 is saved",
        InputError);
}

TEST_CASE("divergence policy: roll_back halves the rate three times, the fourth is the end") {
    DivergencePolicy policy(NonFinite::roll_back);
    double factor = 1;
    for (const double next : {0.5, 0.25, 0.125}) {
        const auto decision = policy.decide(found, where, 8, factor);
        CHECK(decision.action == Action::roll_back);
        CHECK(decision.rate_factor == next);
        factor = next;
        CHECK(policy.decide("", "", 8, factor).action == Action::apply);  // the halvings of a run add up
    }
    CHECK_THROWS_WITH_AS(policy.decide(found, where, 8, factor),
                         "the loss is nan at step 12, with a factor of 0.125 on the learning rate after rolling back: "
                         "lower optimizer.learning_rate, "
                         "set optimizer.clip_norm, or look for bad samples; nothing after step 8 is saved",
                         InputError);
    // A run that is resumed has its factor from the checkpoint: the halvings count.
    CHECK_THROWS_AS(DivergencePolicy(NonFinite::roll_back).decide(found, where, 8, 0.125), InputError);
}
