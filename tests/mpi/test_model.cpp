// The model over ranks: what a repartition, a removal of units and a partition of the optimizer state keep.
#include <doctest/doctest.h>

#include "../support/training.hpp"
#include "pruntrain/parallel/census.hpp"
#include "pruntrain/parallel/state_partition.hpp"
#include "pruntrain/train/evaluation.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

const std::string model_layers =
    "{layer: dense, units: 9, bias: false}, {layer: batch_norm}, {layer: relu}, {layer: dense, units: 8}, {layer: "
    "relu}, "
    "{layer: dense, units: 5}";

std::vector<std::string> overrides(index_t shards, bool partitioned) {
    return {text("parallel.model_shards=", shards), text("parallel.shard_optimizer=", partitioned ? "true" : "false"),
            adam};
}

/// The first shards have one output each, the last one the others.
Partition uneven(index_t shards) {
    Partition partition;
    for (const auto& [layer, outputs] :
         std::vector<std::pair<std::string, index_t>>{{"dense1", 9}, {"dense2", 8}, {"dense3", 5}}) {
        for (index_t shard = 0; shard < shards; ++shard) partition[layer].push_back(shard);
        partition[layer].push_back(outputs);
    }
    return partition;
}

/// Values and optimizer state by the number of the weight.
struct Numbered {
    explicit Numbered(Training& training) {
        Arena& arena = training.arena();
        const Grid& grid = training.experiment.grid;
        arrays.push_back(by_number(arena, arena.values(), grid.shards()));
        for (std::size_t slot = 0; slot < arena.slot_names().size(); ++slot) {
            std::vector<real> whole(arena.values().size());
            all_gather_slot(arena, slot, grid.replicas(), whole);
            arrays.push_back(by_number(arena, whole, grid.shards()));
        }
    }
    std::vector<std::vector<real>> arrays;
};

/// The optimizer states of all ranks make up that of the whole shard, without overlap.
void check_slots(Training& training, bool partitioned) {
    Arena& arena = training.arena();
    const Communicator& replicas = training.experiment.grid.replicas();
    CHECK(arena.state_is_partitioned() == (partitioned && replicas.size() > 1));
    const auto firsts = replicas.all_gather(static_cast<std::uint64_t>(arena.slot_range().first));
    const auto sizes = replicas.all_gather(static_cast<std::uint64_t>(arena.slot_range().size));
    CHECK(arena.slot(0).size() == static_cast<std::size_t>(arena.slot_range().size));
    std::uint64_t next = 0;
    for (std::size_t rank = 0; rank < firsts.size(); ++rank) {
        CHECK(firsts[rank] == (arena.state_is_partitioned() ? next : 0));
        next += sizes[rank];
    }
    CHECK(next == arena.values().size() * (arena.state_is_partitioned() ? 1 : firsts.size()));
}

template <class Work>
void on_every_grid(Work work) {
    const index_t ranks = Communicator::world().size();
    for (index_t shards = 1; shards <= std::min<index_t>(ranks, 4); ++shards)
        for (const bool partitioned : {false, true}) {
            if (ranks % shards != 0) continue;
            CAPTURE(shards);
            CAPTURE(partitioned);
            Training training(overrides(shards, partitioned), model_layers);
            work(training, shards, partitioned);
        }
}

void train(Training& training, index_t first, index_t steps) {
    for (index_t step = first; step < first + steps; ++step) {
        training.find_gradients(step);
        training.step.update(step, 1);
    }
}

double training_loss(Training& training) {
    return evaluate(training.network(), *training.experiment.loss, training.experiment.dataset, Split::train,
                    training.slices)
        .loss;
}

}  // namespace

TEST_CASE("model: the optimizer state is partitioned over the replicas if the settings say so, and stays so") {
    on_every_grid([](Training& training, index_t shards, bool partitioned) {
        check_slots(training, partitioned);
        for (std::size_t slot = 0; slot < 2; ++slot)
            CHECK(std::ranges::count(training.arena().slot(slot), real{0}) == training.arena().slot_range().size);
        remove_weights(training.arena(), 1, 6);
        check_slots(training, partitioned);
        training.experiment.model.repartition(uneven(shards), Model::Weights::move);
        check_slots(training, partitioned);
        training.experiment.model.compact();
        check_slots(training, partitioned);
        training.experiment.model.repartition({}, Model::Weights::drop);
        CHECK(training.arena().state_is_partitioned() ==
              (partitioned && training.experiment.grid.replicas().size() > 1));
    });
}

TEST_CASE("model: layers with fewer outputs than inputs are row-parallel, unless the settings say otherwise") {
    const auto shards = static_cast<index_t>(Communicator::world().size());
    if (shards > 4) return;
    for (const std::string cut : {"auto", "outputs"}) {
        CAPTURE(cut);
        auto of_cut = overrides(shards, false);
        of_cut.push_back("parallel.cut=" + cut);
        Training training(of_cut, model_layers);
        const auto check = [&] {
            index_t row_parallel = 0;
            for (const std::size_t layer : training.network().layers_with_weights()) {
                const Parameter& weight = training.network().layer(layer).weight_matrix()->parameter();
                row_parallel += weight.pattern.columns() < weight.tensor_columns();
            }
            CHECK((row_parallel > 0) == (cut == "auto" && shards > 1));
        };
        check();
        training.experiment.model.repartition(uneven(shards), Model::Weights::move);
        check();
    }
}

TEST_CASE("model: a repartition keeps weights, optimizer state, statistics, hash, loss and execution plan") {
    on_every_grid([](Training& training, index_t shards, bool) {
        Model& model = training.experiment.model;
        remove_weights(training.arena(), 1, 6);
        train(training, 0, 4);
        model.execution().restore("sparse dense sparse");
        model.follow_execution();
        const Numbered before(training);
        const ModelHash hash = consistent_model_hash(training.network(), 0, model.grid());
        const double loss = training_loss(training);
        const std::uint64_t version = model.version();
        for (const Partition& partition : {uneven(shards), Partition{}}) {
            model.repartition(partition, Model::Weights::move);
            CHECK(model.partition() == partition);
            CHECK(Numbered(training).arrays == before.arrays);
            const ModelHash now = consistent_model_hash(training.network(), 0, model.grid());
            CHECK(now.pattern == hash.pattern);
            CHECK(now.weights == hash.weights);
            CHECK(model.execution().describe() == "sparse dense sparse");
            CHECK(training.network().layer(training.network().layers_with_weights()[0]).weight_matrix()->sparse());
            CHECK(training_loss(training) == doctest::Approx(loss).epsilon(1e-5));
        }
        CHECK(model.version() >= version + 2);
        train(training, 4, 2);  // the reducer follows to the new arena
        CHECK(std::isfinite(training_loss(training)));
    });
}

TEST_CASE("model: training continues alike after a repartition") {
    on_every_grid([](Training& training, index_t shards, bool partitioned) {
        Training twin(overrides(shards, partitioned), model_layers);
        for (Training* one : {&training, &twin}) {
            remove_weights(one->arena(), 1, 6);
            train(*one, 0, 3);
        }
        training.experiment.model.repartition(uneven(shards), Model::Weights::move);
        for (Training* one : {&training, &twin}) train(*one, 3, 4);
        const Numbered a(training), b(twin);
        for (std::size_t i = 0; i < a.arrays.size(); ++i) CHECK(difference(a.arrays[i], b.arrays[i]) < 2e-4);
    });
}

TEST_CASE("model: compact removes units on whichever shard they are, and keeps the outputs") {
    on_every_grid([](Training& training, index_t shards, bool) {
        Model& model = training.experiment.model;
        train(training, 0, 4);
        remove_weights(training.arena(), 1, 6);
        const double loss = training_loss(training);
        const std::uint64_t version = model.version();
        const auto changes = model.compact();
        if (shards < 4) CHECK(changes == std::vector<std::string>{"dense1 9 to 7"});
        CHECK(model.version() > version);
        CHECK(training_loss(training) == doctest::Approx(loss).epsilon(1e-5));
        consistent_model_hash(training.network(), 0, model.grid());
        train(training, 4, 2);
        CHECK(std::isfinite(training_loss(training)));
    });
}
