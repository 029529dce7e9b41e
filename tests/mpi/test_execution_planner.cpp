#include <doctest/doctest.h>

#include "../support/layer_bench.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/math/sparse_kernels.hpp"
#include "pruntrain/parallel/execution_planner.hpp"

using namespace pruntrain;

namespace {

struct Planned {
    Planned() : network(config_of(yaml).list("model"), {256, 1, 1}) {
        step.training = true;
        step.tiling = {64, 64};
        step.global_samples = 64;
        network.initialize(1);
        network.set_tile_widths({16, 64});
        network.reserve(64);
    }

    /// Keeps one weight of `every` in dense1; dense2 stays whole.
    void prune(index_t every) {
        std::vector<std::vector<std::uint8_t>> keep(network.arena().parameters().size());
        for (index_t k = 0; k < network.parameters()[0]->pattern.kept(); ++k) keep.front().push_back(k % every == 0);
        network.arena().keep(keep);
    }

    Execution execution(std::size_t layer) { return network.layer(layer).weight_matrix()->execution(); }

    static constexpr const char* yaml =
        "{model: [{layer: dense, units: 256}, {layer: relu}, {layer: dense, units: 10, prunable: false}]}";
    Network network;
    StepContext step;
};

}  // namespace

TEST_CASE("execution: a choice holds for the layers that have lost weights") {
    const Communicator world = Communicator::world();
    for (const auto& [word, choice] : execution_choices) {
        if (choice != ExecutionChoice::dense && choice != ExecutionChoice::sparse) continue;
        const bool sparse = choice == ExecutionChoice::sparse;
        Planned planned;
        ExecutionPlanner planner(planned.network, choice, Grid(world, 1));
        CHECK(planner.plan(planned.step, 1e9, false).empty());  // nothing is pruned
        CHECK(planner.describe() == "dense dense");
        planned.prune(3);
        const std::string changes = planner.plan(planned.step, 1e9, false);
        CHECK(planner.describe() == text(word, " dense"));
        CHECK(planner.sparse_layers() == (sparse ? 1 : 0));
        CHECK((changes.find("dense1 executes sparse at density 0.333") != std::string::npos) == sparse);
        CHECK(planner.measuring_s() == 0);
    }
}

TEST_CASE("execution: measured, the ranks agree, and at a density of 0.01 sparse wins") {
    const Communicator world = Communicator::world();
    Planned planned;
    ExecutionPlanner planner(planned.network, ExecutionChoice::measured, Grid(world, 1));
    planned.prune(100);
    const std::string changes = planner.plan(planned.step, 0, false);
    CHECK(planner.describe() == "sparse dense");
    CHECK(changes.find("dense1 now executes sparse: at density 0.010 a step of the layer takes ") != std::string::npos);
    CHECK(planner.measuring_s() > 0);
    CHECK(planner.plan(planned.step, 0, false).empty());  // sparse stays sparse
    std::uint64_t sparse = planned.execution(0) == Execution::sparse;
    for (const std::uint64_t other : world.all_gather(sparse)) CHECK(other == sparse);
}

TEST_CASE("execution: measuring stops when it would take too much of the run") {
    const Communicator world = Communicator::world();
    Planned planned;
    ExecutionPlanner planner(planned.network, ExecutionChoice::measured, Grid(world, 1));
    planned.prune(10);
    planner.plan(planned.step, 0, false);  // the first measurement is always made
    const double spent = planner.measuring_s();
    CHECK(spent > 0);
    if (planner.sparse_layers() > 0) planner.restore("dense dense");
    planned.prune(4);
    planner.plan(planned.step, 0, false);
    CHECK(planner.measuring_s() == spent);
    planner.plan(planned.step, 1e9, false);
    const double more = planner.measuring_s();
    CHECK(more > spent);
    if (planner.sparse_layers() > 0) planner.restore("dense dense");
    planned.prune(4);
    planner.plan(planned.step, 0, false);
    CHECK(planner.measuring_s() == more);
    planner.plan(planned.step, 0, true);  // the last one is, too
    CHECK(planner.measuring_s() > more);
}

TEST_CASE("execution: a checkpoint's words are taken up, wrong ones refused") {
    const Communicator world = Communicator::world();
    Planned planned;
    ExecutionPlanner planner(planned.network, ExecutionChoice::measured, Grid(world, 1));
    planned.prune(20);
    planner.restore("sparse dense");
    CHECK(planner.describe() == "sparse dense");
    for (const std::string wrong : {"", "sparse", "sparse fast"}) CHECK_THROWS_AS(planner.restore(wrong), InputError);
}

TEST_CASE("execution: the width of tiles follows the density of dense layers") {
    const Communicator world = Communicator::world();
    Planned planned;
    ExecutionPlanner planner(planned.network, ExecutionChoice::sparse, Grid(world, 1));
    CHECK(planner.tile_widths(128).flat == 64);
    planned.prune(2);
    planner.plan(planned.step, 0, false);
    CHECK(planner.tile_widths(128).flat == std::max<index_t>(64, register_lanes()));
    CHECK(planner.tile_widths(64).flat == 64);
    planned.prune(5);
    planner.plan(planned.step, 0, false);
    CHECK(planner.tile_widths(128).flat == 64);
    planned.prune(2);
    planner.plan(planned.step, 0, false);
    CHECK(planner.tile_widths(128).flat == std::min<index_t>(64, register_lanes() / 2));
    CHECK(planner.tile_widths(128).image == 16);
    CHECK(planner.tile_widths(16).flat == 16);
}
