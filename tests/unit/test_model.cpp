#include <doctest/doctest.h>

#include <functional>

#include "../support/temporary_folder.hpp"
#include "../support/training.hpp"
#include "pruntrain/run/restore.hpp"
#include "pruntrain/train/evaluation.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

/// Keeps the weights of a parameter for which `keeps(row, column)`, and all other parameters.
void keep_where(Arena& arena, const std::string& name, const std::function<bool(index_t, index_t)>& keeps) {
    std::vector<std::vector<std::uint8_t>> flags(arena.parameters().size());
    for (std::size_t i = 0; i < flags.size(); ++i) {
        const Parameter& parameter = *arena.parameters()[i];
        if (parameter.full_name() != name) continue;
        const index_t columns = parameter.pattern.columns();
        parameter.pattern.for_each_position(
            [&](index_t, index_t position) { flags[i].push_back(keeps(position / columns, position % columns)); });
    }
    arena.keep(flags);
}

/// Units 0 and 4 of the first layer have no weights into them, units 2 and 5 none out of them.
void kill_units(Arena& arena) {
    keep_where(arena, "dense1.weight", [](index_t row, index_t) { return row != 0 && row != 4; });
    keep_where(arena, "dense2.weight", [](index_t, index_t column) { return column != 2 && column != 5; });
}

std::vector<float> outputs_of(Training& training) {
    std::vector<float> outputs;
    evaluate(training.network(), *training.experiment.loss, training.experiment.dataset, Split::train, training.slices,
             &outputs);
    return outputs;
}

FileToRestore written(Training& training, const TemporaryFolder& folder) {
    Experiment& experiment = training.experiment;
    const std::string path = (folder / "file.h5").string();
    RunState state;
    state.execution = experiment.model.execution().describe();
    const auto file = write_checkpoint(path, training.network(), state, {}, experiment.resolved,
                                       experiment.dataset.normalization(), experiment.grid);
    REQUIRE(file.failure.empty());
    return {.path = path, .partition = "", .pattern_hash = "", .weights_hash = ""};
}

/// What may happen to a model.
struct Event {
    std::string name;
    std::vector<std::string> overrides;
    std::function<void(Training&)> happen;
};

}  // namespace

TEST_CASE("model: its version is larger after each change of the weights that is no update") {
    const std::vector<std::string> prunes{"prune.final_sparsity=0.5", "prune.schedule.type=one_shot"};
    const auto with = [&](const std::string& more) {
        auto all = prunes;
        all.push_back(more);
        return all;
    };
    const auto prune = [](Training& training) {
        training.experiment.pruner->prune(0, training.network(), training.experiment.grid);
    };
    const TemporaryFolder folder;
    const std::vector<Event> events{
        {"repartition", {}, [](Training& t) { t.experiment.model.repartition({}, Model::Weights::move); }},
        {"repartition without weights",
         {},
         [](Training& t) { t.experiment.model.repartition({}, Model::Weights::drop); }},
        {"prune", prunes, prune},
        {"soft-prune marks", with("prune.straight_through=true"),
         [](Training& t) { mark_soft_pruned(t.arena(), std::vector<std::vector<std::uint8_t>>(4)); }},
        {"restore",
         {},
         [&](Training& t) { restore(written(t, folder), t.experiment.model, Restore::run, Communicator::world()); }},
        {"restore weights alone",
         {},
         [&](Training& t) {
             restore(written(t, folder), t.experiment.model, Restore::weights, Communicator::world());
         }},
        {"rewind", {}, [](Training& t) { Rewinding(Rewind::weights, 30, 8, 1).rewind(30, 1, t.network()); }},
    };
    for (const Event& event : events) {
        CAPTURE(event.name);
        Training training(event.overrides);
        const std::uint64_t before = training.experiment.model.version();
        event.happen(training);
        CHECK(training.experiment.model.version() > before);
        CHECK(training.experiment.model.version() == training.arena().version());
    }

    Training shrinking;
    kill_units(shrinking.arena());
    std::uint64_t before = shrinking.experiment.model.version();
    REQUIRE_FALSE(shrinking.experiment.model.compact().empty());
    CHECK(shrinking.experiment.model.version() > before);

    Training growing(with("prune.regrow={type: random, every_steps: 2, end_step: 9}"));
    prune(growing);
    before = growing.experiment.model.version();
    RegrowEvent(*growing.experiment.pruner->regrowth(), 2, growing.network(), growing.experiment.grid).grow();
    CHECK(growing.experiment.model.version() > before);
}

TEST_CASE("model: training, evaluating and memory that moves leave its version as it is") {
    Training training({adam, "prune.final_sparsity=0.5", "prune.straight_through=true",
                       "prune.schedule={type: linear, start_step: 0, end_step: 6, every_steps: 2}"});
    training.experiment.pruner->prune(2, training.network(), training.experiment.grid);
    const std::uint64_t before = training.experiment.model.version();
    std::vector<real> memory(static_cast<std::size_t>(training.arena().size()));
    for (index_t step = 2; step < 5; ++step) {
        training.find_gradients(step);
        training.step.update(step, 1);
        outputs_of(training);
    }
    CHECK(training.step.any_soft_pruned());
    { const auto masked = training.step.mask(); }
    training.arena().place_gradients(memory);
    training.experiment.model.follow_execution();
    CHECK(training.experiment.model.version() == before);
}

TEST_CASE(
    "model: a partition that is the same leaves weights, optimizer state, outputs and execution plan as they are") {
    Training training({adam});
    Model& model = training.experiment.model;
    keep_where(training.arena(), "dense1.weight", [](index_t row, index_t column) { return (row + column) % 3 == 0; });
    for (index_t step = 0; step < 3; ++step) {
        training.find_gradients(step);
        training.step.update(step, 1);
    }
    model.execution().restore("sparse dense");
    model.follow_execution();
    const auto values = copy_of(training.arena().values()), first = copy_of(training.arena().slot(0)),
               second = copy_of(training.arena().slot(1));
    const auto outputs = outputs_of(training);
    model.repartition({}, Model::Weights::move);
    CHECK(copy_of(training.arena().values()) == values);
    CHECK(copy_of(training.arena().slot(0)) == first);
    CHECK(copy_of(training.arena().slot(1)) == second);
    CHECK(model.execution().describe() == "sparse dense");
    CHECK(training.network().layer(0).weight_matrix()->sparse());
    CHECK(outputs_of(training) == outputs);
}

TEST_CASE("model: compact removes units without weights, keeps the outputs, and the optimizer state of the others") {
    Training training({"optimizer.momentum=0.5"});
    Model& model = training.experiment.model;
    kill_units(training.arena());
    for (std::size_t i = 0; i < 4; ++i)  // biases that are not 0, so that a unit without weights has an output
        for (real& value : training.arena().parameters()[i]->value)
            if (value == 0) value = real{0.25};
    model.execution().restore("sparse dense");
    for (std::size_t k = 0; k < training.arena().values().size(); ++k)
        training.arena().slot(0)[k] = 2 * training.arena().values()[k];
    const auto outputs = outputs_of(training);
    const std::size_t size = training.arena().values().size();
    CHECK(model.compact() == std::vector<std::string>{"dense1 7 to 3"});

    CHECK(model.partition().at("dense1") == std::vector<index_t>{0, 3});
    CHECK(training.network().layer(0).output_shape().size() == 3);
    CHECK(training.arena().values().size() < size);
    CHECK(difference(outputs_of(training), outputs) < 1e-6);
    CHECK(model.execution().describe() == "sparse dense");
    for (std::size_t i = 0; i < 4; ++i) {
        if (training.arena().parameters()[i]->name == "bias") continue;  // constants are added to them
        for (std::size_t k = 0; k < training.arena().parameters()[i]->value.size(); ++k)
            CHECK(training.arena().slot(0)[static_cast<std::size_t>(training.arena().offset(i)) + k] ==
                  2 * training.arena().parameters()[i]->value[k]);
    }

    const std::uint64_t version = model.version();
    CHECK(model.compact().empty());  // nothing is left to remove
    CHECK(model.version() == version);
    CHECK(difference(outputs_of(training), outputs) < 1e-6);

    // A network that has lost units is trained as before.
    const StepSums sums = training.find_gradients(0);
    training.step.update(0, 1);
    CHECK(std::isfinite(sums.loss));
    CHECK(training.find_gradients(0).loss < sums.loss);
}

TEST_CASE("model: tiles stay as wide as the batch allows when the network is replaced") {
    Training training({"data.samples=200", "train.global_batch=64"});
    Model& model = training.experiment.model;
    REQUIRE(training.network().input_tiling(64).width == 64);
    model.repartition({}, Model::Weights::move);
    CHECK(training.network().input_tiling(64).width == 64);
    kill_units(training.arena());
    model.compact();
    CHECK(training.network().input_tiling(64).width == 64);
    model.follow_execution(8);
    CHECK(training.network().input_tiling(64).width == 8);
}

TEST_CASE("model: restored, its tiles are as wide as those of the model that was written") {
    const TemporaryFolder folder;
    const std::vector<std::string> overrides{"data.samples=400", "train.global_batch=128"};
    const auto width_of = [](Training& training) { return training.network().input_tiling(128).width; };
    std::vector<index_t> widths{Training(overrides).network().input_tiling(128).width};
    for (const bool few : {false, true}) {
        Training training(overrides), restored(overrides);
        if (few)
            keep_where(training.arena(), "dense1.weight",
                       [](index_t row, index_t column) { return row + column == 0; });
        training.experiment.model.execution().restore("sparse dense");
        training.experiment.model.follow_execution();
        widths.push_back(width_of(training));
        restore(written(training, folder), restored.experiment.model, Restore::run, Communicator::world());
        CHECK(width_of(restored) == widths.back());
    }
    CHECK((widths[1] != widths[0] || widths[2] != widths[0]));  // which of them depends on the processor
}
