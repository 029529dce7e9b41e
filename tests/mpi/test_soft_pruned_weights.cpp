// Soft-pruned weights over ranks: marks, counts and frozen weights do not depend on who owns the optimizer state.
#include <doctest/doctest.h>

#include "../support/training.hpp"
#include "pruntrain/parallel/state_partition.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

/// Weights are marked at steps 2 and 4; half of the marked ones are frozen.
std::vector<std::string> overrides(index_t shards, bool partitioned) {
    return {text("parallel.model_shards=", shards),
            text("parallel.shard_optimizer=", partitioned ? "true" : "false"),
            "prune.final_sparsity=0.75",
            "prune.straight_through=true",
            "prune.hidden_trained=0.5",
            "prune.schedule={type: linear, start_step: 0, end_step: 6, every_steps: 2}",
            "optimizer.momentum=0.5"};
}

void train_and_mark(Training& training) {
    for (index_t step = 0; step < 6; ++step) {
        if (step == 2 || step == 4)
            training.experiment.pruner->prune(step, training.network(), training.experiment.grid);
        training.find_gradients(step);
        training.step.update(step, 1);
    }
}

/// An array of optimizer state by the number of the weight.
std::vector<real> slot_by_number(Training& training, const std::string& name) {
    Arena& arena = training.arena();
    std::vector<real> whole(arena.values().size());
    all_gather_slot(arena, arena.slot_number(name), training.experiment.grid.replicas(), whole);
    return by_number(arena, whole, training.experiment.grid.shards());
}

}  // namespace

TEST_CASE("soft-pruned weights: whoever owns the optimizer state, the same are marked, counted and frozen") {
    const index_t ranks = Communicator::world().size();
    for (index_t shards = 1; shards <= std::min<index_t>(ranks, 3); ++shards) {
        if (ranks % shards != 0) continue;
        CAPTURE(shards);
        Training whole(overrides(shards, false)), partitioned(overrides(shards, true));
        std::vector<std::vector<real>> values, momenta, marks;
        for (Training* training : {&whole, &partitioned}) {
            train_and_mark(*training);
            const Grid& grid = training->experiment.grid;
            values.push_back(by_number(training->arena(), training->arena().values(), grid.shards()));
            momenta.push_back(slot_by_number(*training, training->experiment.optimizer->slot_names()[0]));
            marks.push_back(slot_by_number(*training, soft_pruned_slot));
            const auto marked = std::ranges::count_if(marks.back(), [](real mark) { return mark != 0; });
            CHECK(marked == 28);  // half of 56: two thirds of the final sparsity
            index_t counted = 0;
            for (const index_t of_parameter : count_soft_pruned(training->arena(), grid)) counted += of_parameter;
            CHECK(counted == marked);
            CHECK(std::ranges::count(marks.back(), real{2}) > 0);
            for (std::size_t number = 0; number < values.back().size(); ++number)
                if (marks.back()[number] == 2) CHECK(momenta.back()[number] == 0);
        }
        CHECK(marks[0] == marks[1]);
        CHECK(values[0] == values[1]);
        CHECK(momenta[0] == momenta[1]);
    }
}
