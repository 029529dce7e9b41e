// A model is restored from a file on any grid, whichever grid has written it.
#include <doctest/doctest.h>

#include "../support/shared_folder.hpp"
#include "../support/training.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/parallel/census.hpp"
#include "pruntrain/parallel/partition.hpp"
#include "pruntrain/parallel/state_partition.hpp"
#include "pruntrain/run/restore.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

const std::string model_layers =
    "{layer: dense, units: 9, bias: false}, {layer: batch_norm}, {layer: relu}, {layer: dense, units: 6}";

std::vector<std::string> overrides(index_t shards, bool partitioned) {
    return {text("parallel.model_shards=", shards), text("parallel.shard_optimizer=", partitioned ? "true" : "false"),
            adam, "train.execution=sparse"};
}

/// Values and optimizer state by the number of the weight.
std::vector<std::vector<real>> arrays_of(Training& training) {
    Arena& arena = training.arena();
    const Grid& grid = training.experiment.grid;
    std::vector<std::vector<real>> arrays{by_number(arena, arena.values(), grid.shards())};
    for (std::size_t slot = 0; slot < arena.slot_names().size(); ++slot) {
        std::vector<real> whole(arena.values().size());
        all_gather_slot(arena, slot, grid.replicas(), whole);
        arrays.push_back(by_number(arena, whole, grid.shards()));
    }
    return arrays;
}

/// Of all parameters, before any units were removed.
std::vector<std::vector<index_t>> full_shapes_of(Training& training) {
    std::vector<std::vector<index_t>> shapes;
    for (const auto* parameter : training.arena().parameters()) shapes.push_back(parameter->full_shape);
    return shapes;
}

void train(Training& training, index_t first, index_t last) {
    for (index_t step = first; step < last; ++step) {
        training.find_gradients(step);
        training.step.update(step, 1);
    }
}

/// A run that was trained, pruned, has lost units and has shards of other sizes; and its file.
struct Written {
    Written(const std::string& path, index_t shards, bool partitioned)
        : training(overrides(shards, partitioned), model_layers) {
        Model& model = training.experiment.model;
        train(training, 0, 3);
        remove_weights(training.arena(), 2, 7);
        model.compact();
        Partition partition = model.partition();
        for (auto& [layer, offsets] : partition)
            for (index_t shard = 0; shard < shards; ++shard) offsets[static_cast<std::size_t>(shard)] = shard;
        model.repartition(partition, Model::Weights::move);
        train(training, 3, 6);
        model.execution().restore("sparse dense");
        hash = consistent_model_hash(training.network(), 0, model.grid());
        RunState state;
        state.step = 6;
        state.rate_factor = 0.5;
        state.execution = model.execution().describe();
        state.partition = partition_text(model.partition());
        History history(2);
        for (auto& row : history) row.layers = model.execution().layers();
        history[0].step = 3;
        history[1].step = 6;
        history[1].train_loss = 0.75;
        const Experiment& experiment = training.experiment;
        const auto written = write_checkpoint(path, training.network(), state, history, experiment.resolved,
                                              experiment.dataset.normalization(), experiment.grid);
        REQUIRE(written.failure.empty());
        experiment.grid.world().barrier();
        file = {.path = path,
                .partition = state.partition,
                .pattern_hash = hex(hash.pattern),
                .weights_hash = hex(hash.weights)};
    }
    Training training;
    ModelHash hash;
    FileToRestore file;
};

std::vector<index_t> shard_counts() {
    std::vector<index_t> counts;
    for (index_t shards = 1; shards <= std::min(Communicator::world().size(), 4); ++shards)
        if (Communicator::world().size() % shards == 0) counts.push_back(shards);
    return counts;
}

}  // namespace

TEST_CASE("restore: a run is the same on every grid, whichever has written it") {
    const Communicator world = Communicator::world();
    const SharedFolder folder(world, [](const TemporaryFolder&) {});
    for (const index_t before : shard_counts()) {
        const bool partitioned = before == 1;
        Written written(folder.path() + "/file.h5", before, partitioned);
        const auto expected = arrays_of(written.training);
        const Partition partition = written.training.experiment.model.partition();
        written.training.experiment.model.follow_execution();
        train(written.training, 6, 8);
        const std::vector<real> continued = arrays_of(written.training)[0];
        for (const index_t now : shard_counts()) {
            CAPTURE(before);
            CAPTURE(now);
            Training training(overrides(now, !partitioned), model_layers);
            Model& model = training.experiment.model;
            train(training, 0, 2);  // to weights and optimizer state that differ from the file
            const std::uint64_t version = model.version();
            const RestoredRun run = restore(written.file, model, Restore::run, world);
            CHECK(model.version() > version);
            CHECK(arrays_of(training) == expected);
            const ModelHash hash = consistent_model_hash(training.network(), 0, model.grid());
            CHECK(hash.pattern == written.hash.pattern);
            CHECK(hash.weights == written.hash.weights);
            CHECK(training.arena().state_is_partitioned() ==
                  (!partitioned && training.experiment.grid.replicas().size() > 1));
            CHECK(model.execution().describe() == "sparse dense");
            CHECK(model.partition() == (now == before ? partition : even_partition(partition, now)));
            CHECK(full_shapes_of(training) == full_shapes_of(written.training));
            CHECK(full_shapes_of(training)[0] == std::vector<index_t>{9, 5});
            CHECK(run.state.step == 6);
            CHECK(run.state.rate_factor == 0.5);
            REQUIRE(run.history.size() == 2);
            CHECK(run.history[0].step == 3);
            CHECK(run.history[1].train_loss == 0.75);
            CHECK(run.history[1].layers[0].kept == model.execution().layers()[0].kept);

            train(training, 6, 8);
            CHECK(difference(arrays_of(training)[0], continued) < 1e-4);
        }
    }
}

TEST_CASE("restore: a model that has lost units and moved rows since then goes back to the shapes of the file") {
    const Communicator world = Communicator::world();
    const SharedFolder folder(world, [](const TemporaryFolder&) {});
    const std::string path = folder.path() + "/file.h5";
    for (const index_t shards : shard_counts()) {
        CAPTURE(shards);
        Training training(overrides(shards, false), model_layers);
        Model& model = training.experiment.model;
        train(training, 0, 3);
        const auto expected = arrays_of(training);
        RunState state;
        state.execution = model.execution().describe();
        const Experiment& experiment = training.experiment;
        REQUIRE(write_checkpoint(path, training.network(), state, {}, experiment.resolved,
                                 experiment.dataset.normalization(), experiment.grid)
                    .failure.empty());
        world.barrier();
        remove_weights(training.arena(), 2, 7);
        model.compact();
        REQUIRE_FALSE(model.partition().empty());
        for (const Restore what : {Restore::weights, Restore::run}) {
            restore({.path = path, .partition = "", .pattern_hash = "", .weights_hash = ""}, model, what, world);
            CHECK(model.partition().empty());
            CHECK(arrays_of(training)[0] == expected[0]);
        }
        CHECK(arrays_of(training) == expected);
    }
}

TEST_CASE("restore: of the weights alone, the optimizer state is 0, and state and history are those of a new run") {
    const Communicator world = Communicator::world();
    const SharedFolder folder(world, [](const TemporaryFolder&) {});
    for (const index_t shards : shard_counts()) {
        CAPTURE(shards);
        Written written(folder.path() + "/file.h5", 1, false);
        Training training(overrides(shards, true), model_layers);
        train(training, 0, 2);  // an optimizer state that is not 0
        const RestoredRun run = restore(written.file, training.experiment.model, Restore::weights, world);
        CHECK(run.state.step == 0);
        CHECK(run.history.empty());
        CHECK(arrays_of(training)[0] == arrays_of(written.training)[0]);
        for (std::size_t slot = 0; slot < training.arena().slot_names().size(); ++slot)
            CHECK(std::ranges::count(training.arena().slot(slot), real{0}) == std::ssize(training.arena().slot(slot)));
        CHECK(consistent_model_hash(training.network(), 0, training.experiment.grid).weights == written.hash.weights);
    }
}

TEST_CASE("restore: a model of another hash than the one written is a fault on every rank, unless none is given") {
    const Communicator world = Communicator::world();
    const SharedFolder folder(world, [](const TemporaryFolder&) {});
    Written written(folder.path() + "/file.h5", 1, false);
    const std::string wrong = "0123456789abcdef";
    for (const Restore what : {Restore::run, Restore::weights}) {
        Training training(overrides(1, false), model_layers);
        FileToRestore file = written.file;
        file.pattern_hash = wrong;
        CHECK_THROWS_WITH_AS(restore(file, training.experiment.model, what, world),
                             text("the model read from ", file.path, " has the pattern hash ",
                                  hex(written.hash.pattern), ", but the file was written with ", wrong)
                                 .c_str(),
                             std::runtime_error);
        file.pattern_hash = "";
        file.weights_hash = wrong;
        CHECK_THROWS_WITH_AS(restore(file, training.experiment.model, what, world),
                             text("the model read from ", file.path, " has the weights hash ",
                                  hex(written.hash.weights), ", but the file was written with ", wrong)
                                 .c_str(),
                             std::runtime_error);
        file.weights_hash = "";
        CHECK_NOTHROW(restore(file, training.experiment.model, what, world));
    }
}

TEST_CASE("restore: all ranks learn of the file from the root") {
    const Communicator world = Communicator::world();
    FileToRestore file;
    if (world.is_root()) file = {"/a/b.h5", "dense1 0 4", "0123", "4567"};
    broadcast(file, world);
    CHECK(file.path == "/a/b.h5");
    CHECK(file.partition == "dense1 0 4");
    CHECK(file.pattern_hash == "0123");
    CHECK(file.weights_hash == "4567");
}
