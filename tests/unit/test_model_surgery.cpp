#include <doctest/doctest.h>

#include "../support/training.hpp"
#include "pruntrain/parallel/census.hpp"
#include "pruntrain/train/model_surgery.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

const std::string with_batch_norm =
    "{layer: dense, units: 12}, {layer: batch_norm}, {layer: relu}, {layer: dense, units: 3}";

/// A run with events.
struct Run {
    explicit Run(const std::vector<std::string>& overrides, const std::string& model = with_batch_norm)
        : training(overrides, model),
          progress(ProgressMode::lines, 1, training.experiment.length, true),
          surgery(training.experiment, training.slices, training.feed, training.step, training.profile, progress) {}

    void train(index_t first, index_t last) {
        for (index_t step = first; step < last; ++step) {
            training.find_gradients(step);
            training.step.update(step, 1);
        }
        state.step = last;
    }
    index_t kept() {
        const Network& network = training.network();
        return count_prunable(network, count_kept(network, training.experiment.grid.shards())).kept;
    }
    Training training;
    Progress progress;
    ModelSurgery surgery;
    RunState state;
    PrintedText printed;
};

std::vector<std::vector<real>> statistics_of(Network& network) {
    std::vector<std::vector<real>> all;
    for (const auto& [layer, statistic] : network.statistics()) all.push_back(statistic->values);
    return all;
}

}  // namespace

TEST_CASE("model surgery: an event that looks at a training batch leaves the running statistics as they are") {
    Run run({"prune.final_sparsity=0.5", "prune.criterion=taylor", "prune.schedule={type: one_shot, at_step: 3}"});
    run.train(0, 3);
    const auto before = statistics_of(run.training.network());
    REQUIRE(before.size() == 2);
    run.surgery.maybe_prune(run.state, 0);
    CHECK(statistics_of(run.training.network()) == before);
    CHECK(run.kept() == (5 * 12 + 12 * 3) / 2);
    CHECK(run.state.sparsity == 0.5);
    CHECK(run.printed.take().find("step 3: final sparsity 0.5, 48 of 96 prunable weights remain") != std::string::npos);
}

TEST_CASE("model surgery: at a step without an event nothing changes") {
    Run run({"prune.final_sparsity=0.5", "prune.criterion=taylor", "prune.schedule={type: one_shot, at_step: 3}",
             "prune.regrow={type: gradient, start_step: 3, every_steps: 2, end_step: 9}"});
    run.train(0, 2);
    const std::uint64_t version = run.training.experiment.model.version();
    run.surgery.maybe_prune(run.state, 0);
    run.surgery.maybe_rewind(run.state);
    run.surgery.maybe_regrow(run.state);
    CHECK(run.training.experiment.model.version() == version);
    CHECK(run.printed.take().empty());
}

TEST_CASE("model surgery: regrowth by gradients keeps the count, the statistics and the execution plan") {
    Run run({"prune.final_sparsity=0.5", "prune.schedule={type: one_shot, at_step: 0}", "train.execution=sparse",
             "prune.regrow={type: gradient, start_step: 0, every_steps: 2, end_step: 9}"});
    run.surgery.maybe_prune(run.state, 0);
    const std::string plan = run.training.experiment.model.execution().describe();
    CHECK(plan == "sparse sparse");
    run.train(0, 2);
    const index_t kept = run.kept();
    const auto before = statistics_of(run.training.network());
    const auto patterns = [&] {
        std::vector<std::vector<index_t>> all;
        for (const auto* parameter : run.training.network().parameters())
            all.push_back(parameter->pattern.dense_positions());
        return all;
    };
    const auto patterns_before = patterns();
    run.surgery.maybe_regrow(run.state);
    CHECK(patterns() != patterns_before);
    CHECK(run.kept() == kept);
    CHECK(statistics_of(run.training.network()) == before);
    CHECK(run.training.experiment.model.execution().describe() == plan);
}

TEST_CASE("model surgery: units that lose their weights leave the network, if the configuration says so") {
    for (const bool reconfigures : {false, true}) {
        CAPTURE(reconfigures);
        Run run({"prune.final_sparsity=0.5", "prune.schedule={type: one_shot, at_step: 1}", "prune.grouping=row",
                 "prune.layer_floor=0", text("prune.reconfigure=", reconfigures ? "true" : "false")},
                "{layer: dense, units: 12}, {layer: relu}, {layer: dense, units: 3, prunable: false}");
        run.train(0, 1);
        run.surgery.maybe_prune(run.state, 0);
        CHECK(run.training.network().layer(0).output_shape().size() == (reconfigures ? 6 : 12));
        CHECK((run.printed.take().find("removed from the network: dense1 12 to 6") != std::string::npos) ==
              reconfigures);
        run.train(1, 4);
        CHECK(run.kept() == 30);
    }
}

TEST_CASE("model surgery: a rewinding schedule goes back to the remembered weights of what is left") {
    Run run({"prune.final_sparsity=0.5", "train.epochs=2",
             "prune.schedule={type: rewinding, rounds: 1, rewind: weights, to_step: 2}"});
    run.train(0, 2);
    run.surgery.maybe_rewind(run.state);
    const auto remembered =
        by_number(run.training.arena(), run.training.arena().values(), run.training.experiment.grid.shards());
    run.train(2, 6);
    run.surgery.maybe_prune(run.state, 0);
    run.surgery.maybe_rewind(run.state);
    CHECK(run.state.sparsity == 0.5);
    const auto now =
        by_number(run.training.arena(), run.training.arena().values(), run.training.experiment.grid.shards());
    index_t same = 0, gone = 0, other = 0;
    for (std::size_t number = 0; number < now.size(); ++number)
        ++(now[number] == remembered[number] ? same : now[number] == 0 ? gone : other);
    CHECK(other == 0);
    CHECK(gone == 48);
    CHECK(run.printed.take().find("step 6: training 2 of 2 begins, at sparsity 0.5000") != std::string::npos);
}
