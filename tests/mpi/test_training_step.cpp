// A training step over ranks: the sums of a twin on every grid, the same bits with sums in one order.
#include <doctest/doctest.h>

#include "../support/training_twin.hpp"
#include "pruntrain/train/divergence_policy.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

constexpr double tolerance = 2e-6;  // gradients of up to 1, in float

/// The largest difference from the twin of those gradients that this rank must have.
double difference_from_twin(Training& training, const TwinSums& twin, bool to_owners) {
    Arena& arena = training.arena();
    const Block own = to_owners ? arena.slot_range() : Block{0, arena.size()};
    double worst = 0;
    for (std::size_t i = 0; i < arena.parameters().size(); ++i)
        arena.parameters()[i]->for_each_number([&](index_t k, weight_number_t number) {
            const index_t at = arena.offset(i) + k;
            if (at < own.first || at >= own.first + own.size) return;
            worst = std::max(worst, std::abs(arena.gradients()[static_cast<std::size_t>(at)] - twin.gradients[number]));
        });
    return worst;
}

/// Trains a few steps: the weights by number.
std::vector<real> trained(Training& training, index_t steps, bool to_owners) {
    for (index_t step = 0; step < steps; ++step) {
        training.find_gradients(step, {.to_owners = to_owners});
        training.step.update(step, 1);
    }
    return by_number(training.arena(), training.arena().values(), training.experiment.grid.shards());
}

std::vector<std::string> of_grid(index_t shards, bool partitioned) {
    return {text("parallel.model_shards=", shards), text("parallel.shard_optimizer=", partitioned ? "true" : "false"),
            "optimizer.momentum=0.5"};
}

}  // namespace

TEST_CASE("training step: on every grid the sums of the twin, also of the short last batch") {
    const Communicator world = Communicator::world();
    for (index_t shards = 1; shards <= std::min(world.size(), 3); ++shards)
        for (const bool partitioned : {false, true})
            for (const std::string sum : {"fast", "ordered"}) {
                if (world.size() % shards != 0) continue;
                CAPTURE(shards);
                CAPTURE(partitioned);
                CAPTURE(sum);
                auto overrides = of_grid(shards, partitioned);
                overrides.push_back("train.sum=" + sum);
                Training training(overrides);
                const index_t slices = training.slices.count();
                for (index_t batch = 1; batch < 4; ++batch) {
                    CAPTURE(batch);
                    const TwinSums twin = twin_sums(training, batch);
                    for (const bool to_owners : {false, true}) {
                        const StepSums sums =
                            training.find_gradients(batch, {.stop_requests = 1, .to_owners = to_owners});
                        CHECK(sums.loss == doctest::Approx(twin.loss).epsilon(1e-6));
                        CHECK(sums.correct == twin.correct);
                        CHECK(sums.stop_requests == static_cast<double>(slices));
                        CHECK(difference_from_twin(training, twin, to_owners) < tolerance);
                    }
                }
            }
}

TEST_CASE("training step: more ranks than samples in the short last batch") {
    // 23 samples: batches of 22 and 1.
    Training training({"train.global_batch=22"});
    const TwinSums twin = twin_sums(training, 1);
    CHECK(training.find_gradients(1).loss == doctest::Approx(twin.loss).epsilon(1e-6));
    CHECK(difference_from_twin(training, twin, false) < tolerance);
}

TEST_CASE("training step: with sums in one order, several ranks train the bits of one") {
    const Communicator world = Communicator::world(), self = world.split(world.rank());
    const std::vector<std::string> overrides{"train.sum=ordered", "train.slices=5", "optimizer.momentum=0.5"};
    for (const std::string& layers :
         {dense_layers, std::string("{layer: dense, units: 9}, {layer: batch_norm}, {layer: relu}, {layer: dropout}, "
                                    "{layer: dense, units: 3}")}) {
        Training training(overrides, layers), alone(overrides, layers, self);
        CHECK(trained(training, 7, false) == trained(alone, 7, false));
    }
}

TEST_CASE("training step: whoever owns the optimizer state, the weights become the same") {
    const Communicator world = Communicator::world(), self = world.split(world.rank());
    Training alone({"optimizer.momentum=0.5"}, dense_layers, self);
    const std::vector<real> expected = trained(alone, 7, false);
    for (index_t shards = 1; shards <= std::min(world.size(), 3); ++shards) {
        if (world.size() % shards != 0) continue;
        CAPTURE(shards);
        Training whole(of_grid(shards, false)), partitioned(of_grid(shards, true)), to_owners(of_grid(shards, true));
        const std::vector<real> found = trained(whole, 7, false);
        CHECK(trained(partitioned, 7, false) == found);
        CHECK(trained(to_owners, 7, true) == found);
        CHECK(difference(found, expected) < 1e-5);
    }
}

TEST_CASE("training step: sums over slices are those of all ranks") {
    const Communicator world = Communicator::world();
    for (const std::string sum : {"fast", "ordered"}) {
        CAPTURE(sum);
        Training training({"train.sum=" + sum, "train.slices=5"});
        training.step.sum_over_slices(
            [](index_t slice, std::span<real> values) { std::ranges::fill(values, static_cast<real>(slice + 1)); });
        const index_t count = training.slices.count();
        CHECK(std::ranges::count(training.arena().gradients(), static_cast<real>(count * (count + 1) / 2)) ==
              training.arena().size());
    }
}

TEST_CASE("describe_non_finite: what one rank alone sees, all ranks report") {
    const Communicator world = Communicator::world();
    for (const index_t shards : {index_t{1}, index_t{world.size()}})
        for (int spoilt = 0; spoilt < world.size(); ++spoilt) {
            CAPTURE(shards);
            CAPTURE(spoilt);
            Training training(of_grid(shards, true), "{layer: dense, units: 300}, {layer: dense, units: 8}");
            Arena& arena = training.arena();
            const auto& grid = training.experiment.grid;
            const auto check = [&] { return describe_non_finite(arena, grid, 1, true); };
            CHECK(check().empty());
            // The owner of the first weight's state; with shards, the rank that holds the shard.
            const Block own = arena.slot_range(0);
            const bool holds = own.size > 0;
            if (world.rank() == spoilt && holds) arena.gradients()[static_cast<std::size_t>(own.first)] = NAN;
            const bool somewhere = world.all_reduce_max(index_t{world.rank() == spoilt && holds}) == 1;
            CHECK(check() == (somewhere ? "the gradient of dense1.weight is not finite" : ""));
        }
}
