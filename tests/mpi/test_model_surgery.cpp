// Events of a run over ranks: rows move between shards, and a rewinding leaves all replicas alike.
#include <doctest/doctest.h>

#include <functional>

#include "../support/training.hpp"
#include "pruntrain/parallel/census.hpp"
#include "pruntrain/parallel/partition.hpp"
#include "pruntrain/train/model_surgery.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

/// A run with events.
struct Run {
    explicit Run(const std::vector<std::string>& overrides, const std::string& model)
        : training(overrides, model),
          progress(ProgressMode::lines, 1, training.experiment.length, Communicator::world().is_root()),
          surgery(training.experiment, training.slices, training.feed, training.step, training.profile, progress) {}

    Model& model() { return training.experiment.model; }
    std::vector<real> weights() {
        return by_number(training.arena(), training.arena().values(), training.experiment.grid.shards());
    }
    double imbalance() {
        return pruntrain::imbalance(sparse_layers(training.network(), training.experiment.grid.shards()));
    }
    void train(index_t first, index_t last) {
        for (index_t step = first; step < last; ++step) {
            training.find_gradients(step);
            training.step.update(step, 1);
        }
        state.step = last;
    }
    /// Whether the root has printed this; the others print nothing.
    void check_printed(const std::string& words, bool expected) {
        const std::string all = printed.take();
        CHECK((all.find(words) != std::string::npos) == (expected && Communicator::world().is_root()));
    }

    Training training;
    Progress progress;
    ModelSurgery surgery;
    RunState state;
    PrintedText printed;
};

/// Keeps the weights of a layer for which `keeps(row, column)` of the whole tensor, and those of all other layers.
void keep_where(Arena& arena, const std::string& layer, const std::function<bool(index_t, index_t)>& keeps) {
    std::vector<std::vector<std::uint8_t>> flags(arena.parameters().size());
    for (std::size_t i = 0; i < flags.size(); ++i) {
        const Parameter& parameter = *arena.parameters()[i];
        if (parameter.layer != layer || !parameter.prunable) continue;
        const index_t columns = parameter.tensor_columns();
        parameter.for_each_number([&](index_t, weight_number_t number) {
            const auto at = static_cast<index_t>(number - parameter.first_number);
            flags[i].push_back(keeps(at / columns, at % columns));
        });
    }
    arena.keep(flags);
}

index_t shards_here() { return Communicator::world().size(); }

std::vector<std::string> with_shards(const std::vector<std::string>& more) {
    std::vector<std::string> overrides{text("parallel.model_shards=", shards_here()), "train.execution=sparse",
                                       "parallel.cut=outputs"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return overrides;
}

const std::string wide = "{layer: dense, units: 24}, {layer: relu}, {layer: dense, units: 4}";

/// The first shard has all its weights in the first layer, the others have one in five.
void unbalance(Arena& arena) {
    keep_where(arena, "dense1", [](index_t row, index_t column) { return row < 24 / shards_here() || column == 0; });
}

}  // namespace

TEST_CASE("model surgery: rows move to other shards if one has too many weights, and only then") {
    if (shards_here() == 1 || shards_here() > 4) return;
    for (const bool allowed : {true, false}) {
        CAPTURE(allowed);
        Run run(with_shards({text("parallel.rebalance_above=", allowed ? 1.05 : 100)}), wide);
        unbalance(run.training.arena());
        const auto before = run.weights();
        const bool moves = allowed && shards_here() > 1;
        run.surgery.plan(0, 0);
        CHECK(run.model().execution().describe() == "sparse dense");
        CHECK(run.model().partition().empty() == !moves);
        CHECK(run.weights() == before);
        if (shards_here() > 1) CHECK((run.imbalance() < 1.2) == allowed);
        run.check_printed("rows moved between shards", moves);
        const std::uint64_t version = run.model().version();
        run.surgery.plan(0, 0);  // it is balanced, as far as rows allow
        CHECK(run.model().version() == version);
        run.train(0, 1);
    }
}

TEST_CASE("model surgery: rows stay where they are if no other partition is better") {
    if (shards_here() == 1 || shards_here() > 4) return;
    Run run(with_shards({}),
            text("{layer: dense, units: ", shards_here(), "}, {layer: relu}, {layer: dense, units: 4}"));
    keep_where(run.training.arena(), "dense1", [](index_t row, index_t column) { return row == 0 || column == 0; });
    const std::uint64_t version = run.model().version();
    run.surgery.plan(0, 0);
    CHECK(run.model().version() == version);
    CHECK(run.model().partition().empty());
    run.check_printed("between shards", false);
}

TEST_CASE("model surgery: layers that are balanced keep their partition, without the units that were removed") {
    if (shards_here() == 1 || shards_here() > 4) return;
    Run run(with_shards({}),
            "{layer: dense, units: 12}, {layer: relu}, {layer: dense, units: 24}, {layer: relu}, "
            "{layer: dense, units: 4}");
    keep_where(run.training.arena(), "dense1", [](index_t row, index_t) { return row % 3 != 0; });
    REQUIRE(run.model().compact() == std::vector<std::string>{"dense1 12 to 8"});
    const auto offsets = run.model().partition().at("dense1");
    keep_where(run.training.arena(), "dense2",
               [](index_t row, index_t column) { return row < 24 / shards_here() || column == 0; });
    run.surgery.plan(0, 0);
    CHECK(run.model().execution().describe() == "dense sparse dense");
    CHECK(run.model().partition().at("dense1") == offsets);
    run.check_printed("rows moved between shards", shards_here() > 1);
    run.train(0, 1);
}

TEST_CASE("model surgery: events that prune or regrow balance the shards; the last one reports") {
    if (shards_here() == 1 || shards_here() > 4) return;
    for (const std::string above : {"1.05", "100"}) {
        CAPTURE(above);
        Run run(with_shards({"parallel.rebalance_above=" + above, "prune.final_sparsity=0.5",
                             "prune.schedule={type: linear, start_step: 0, end_step: 4, every_steps: 2}",
                             "prune.regrow={type: random, every_steps: 1, end_step: 9}"}),
                wide);
        const bool several = shards_here() > 1, moves = above != "100" && several;
        for (auto* parameter : run.training.arena().parameters())  // the first rows are the largest
            if (parameter->prunable && parameter->layer == "dense1")
                parameter->for_each_number([&](index_t k, weight_number_t number) {
                    parameter->value[static_cast<std::size_t>(k)] = static_cast<real>(1 / (1.0 + number));
                });
        run.state.step = 2;
        run.surgery.maybe_prune(run.state, 0);
        CHECK(run.model().partition().empty() == !moves);
        run.check_printed("the fullest shard has", false);
        run.state.step = 4;
        run.surgery.maybe_prune(run.state, 0);
        run.check_printed("the fullest shard ha", several);
        if (!moves) continue;
        Partition uneven = run.model().partition();  // as if the weights had been elsewhere
        for (auto& [layer, rows] : uneven)
            for (index_t shard = 1; shard < shards_here(); ++shard)
                rows[static_cast<std::size_t>(shard)] = rows.back() - shards_here() + shard;
        run.model().repartition(uneven, Model::Weights::move);
        run.state.step = 5;
        run.surgery.maybe_regrow(run.state);
        CHECK(run.model().partition() != uneven);
    }
}

TEST_CASE("model surgery: after a rewinding all replicas have the remembered weights, whoever owns the state") {
    std::vector<std::vector<real>> found;
    for (const std::string partitioned : {"false", "true"}) {
        Run run({"prune.final_sparsity=0.5", "train.epochs=2", "optimizer.momentum=0.5",
                 "parallel.shard_optimizer=" + partitioned,
                 "prune.schedule={type: rewinding, rounds: 1, rewind: weights, to_step: 2}"},
                wide);
        run.train(0, 2);
        run.surgery.maybe_rewind(run.state);
        const auto remembered = run.weights();
        run.train(2, 6);
        run.surgery.maybe_prune(run.state, 0);
        run.surgery.maybe_rewind(run.state);
        const auto now = run.weights();
        index_t other = 0;
        for (std::size_t number = 0; number < now.size(); ++number)
            other += now[number] != remembered[number] && now[number] != 0;
        CHECK(other == 0);
        run.train(6, 8);
        found.push_back(run.weights());
    }
    CHECK(found[0] == found[1]);
}
