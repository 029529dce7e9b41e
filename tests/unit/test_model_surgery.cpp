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

namespace {

std::vector<std::vector<index_t>> patterns_of(const Network& network) {
    std::vector<std::vector<index_t>> all;
    for (const auto* parameter : network.parameters()) all.push_back(parameter->pattern.dense_positions());
    return all;
}

/// Keeps the first `kept` weights of each prunable parameter.
void keep_first(Arena& arena, std::size_t kept) {
    std::vector<std::vector<std::uint8_t>> flags;
    for (const auto* parameter : arena.parameters()) {
        flags.emplace_back(parameter->prunable ? parameter->value.size() : 0, 0);
        std::fill_n(flags.back().begin(), std::min(kept, flags.back().size()), 1);
    }
    arena.keep(flags);
}

/// Computes gradients for a score input by steps of training, with those of the options that count.
class PlainContext final : public ScoreContext {
   public:
    PlainContext(Training& training, index_t step_of, bool with_temperature, bool with_choices)
        : ScoreContext(training.network(), training.experiment.grid, training.slices, step_of),
          training_(training),
          with_temperature_(with_temperature),
          with_choices_(with_choices) {}
    void find_loss_gradient(const LossOptions& options) override {
        training_.find_gradients(step, {.temperature = with_temperature_ ? options.temperature : 1,
                                        .choices = with_choices_ ? options.choices : Choices::free});
    }
    void find_micro_batch_gradient(const MicroBatches&, index_t, std::span<real>) override { FAIL("not used"); }
    void sum_over_slices(const SetSlice&) override { FAIL("not used"); }
    NetworkStep evaluation_step() override { return {}; }

   private:
    Training& training_;
    bool with_temperature_, with_choices_;
};

const std::string with_dropout = "{layer: dense, units: 12}, {layer: relu}, {layer: dropout}, {layer: dense, units: 3}";

}  // namespace

TEST_CASE("model surgery: after a rewinding, the gradients are those of the step to which training goes back") {
    const std::vector<std::string> overrides{
        "prune.final_sparsity=0.5", "train.epochs=2", "prune.criterion=taylor",
        "prune.schedule={type: rewinding, rounds: 1, rewind: weights, to_step: 2}"};
    Run run(overrides, with_dropout);
    run.train(0, 6);
    run.surgery.maybe_prune(run.state, 0);
    const auto with_gradients_of = [&](index_t batch, index_t step) {
        Run twin(overrides, with_dropout);
        twin.train(0, 6);
        twin.training.step.begin(twin.training.batch(batch), {.training_step = step});
        twin.training.step.finish();
        twin.training.experiment.pruner->prune(6, twin.training.network(), twin.training.experiment.grid);
        return patterns_of(twin.training.network());
    };
    CHECK(patterns_of(run.training.network()) == with_gradients_of(2, 2));
    CHECK(patterns_of(run.training.network()) != with_gradients_of(6, 2));  // another batch
    CHECK(patterns_of(run.training.network()) != with_gradients_of(2, 6));  // another dropout
}

TEST_CASE("model surgery: a score input gets the temperature and the choices that it asks for") {
    const std::vector<std::string> overrides{"prune.final_sparsity=0.5",
                                             "prune.criterion={type: grasp, temperature: 20}",
                                             "prune.schedule={type: one_shot, at_step: 3}", "data.shape=20"};
    const std::string layers = "{layer: dense, units: 40}, {layer: relu}, {layer: dense, units: 3}";
    Run run(overrides, layers);
    run.train(0, 3);
    run.surgery.maybe_prune(run.state, 0);
    for (const bool with_temperature : {true, false})
        for (const bool with_choices : {true, false}) {
            CAPTURE(with_temperature);
            CAPTURE(with_choices);
            Run twin(overrides, layers);
            twin.train(0, 3);
            const Pruner& pruner = *twin.training.experiment.pruner;
            PlainContext context(twin.training, 3, with_temperature, with_choices);
            pruner.score_input(3)->find(context);
            pruner.prune(3, twin.training.network(), twin.training.experiment.grid);
            CHECK((patterns_of(twin.training.network()) == patterns_of(run.training.network())) ==
                  (with_temperature && with_choices));
        }
}

TEST_CASE("model surgery: in each of the rounds of an event the gradients are new, and the sparsity is higher") {
    const std::vector<std::string> overrides{"prune.final_sparsity=0.75", "prune.criterion=taylor",
                                             "prune.schedule={type: one_shot, at_step: 3, rounds: 3}"};
    Run run(overrides), twin(overrides);
    for (Run* one : {&run, &twin}) one->train(0, 3);
    run.surgery.maybe_prune(run.state, 0);
    for (index_t round = 1; round <= 3; ++round) {
        twin.training.find_gradients(3);
        twin.training.experiment.pruner->prune(3, twin.training.network(), twin.training.experiment.grid, round);
    }
    CHECK(run.kept() == 24);
    CHECK(patterns_of(run.training.network()) == patterns_of(twin.training.network()));
}

TEST_CASE("model surgery: an event whose last round removes nothing is an event") {
    Run run({"prune.final_sparsity=0.505", "prune.schedule={type: one_shot, at_step: 0, rounds: 100}",
             "train.execution=sparse"});
    run.surgery.maybe_prune(run.state, 0);  // 48 of 96 in rounds 99 and 100
    CHECK(run.kept() == 48);
    CHECK(run.printed.take().find("48 of 96 prunable weights remain, pattern ") != std::string::npos);
}

TEST_CASE("model surgery: with update, the remaining weights move when others are removed") {
    for (const std::string update : {"false", "true"}) {
        CAPTURE(update);
        Run run({"prune.final_sparsity=0.5", "prune.schedule={type: one_shot, at_step: 3}",
                 "prune.criterion={type: wood_fisher, samples: 2, batches: 8, update: " + update + "}"});
        run.train(0, 3);
        const Communicator& shards = run.training.experiment.grid.shards();
        const auto before = by_number(run.training.arena(), run.training.arena().values(), shards);
        run.surgery.maybe_prune(run.state, 0);
        const auto now = by_number(run.training.arena(), run.training.arena().values(), shards);
        index_t moved = 0;
        for (std::size_t number = 0; number < now.size(); ++number)
            moved += now[number] != 0 && now[number] != before[number];
        CHECK((moved > 0) == (update == "true"));
    }
}

TEST_CASE("model surgery: the sparsity of a run counts soft-pruned weights as pruned, at every event") {
    Run run({"prune.final_sparsity=0.75", "prune.straight_through=true",
             "prune.schedule={type: linear, start_step: 0, end_step: 6, every_steps: 2}"});
    for (const auto& [step, sparsity] : std::vector<std::pair<index_t, double>>{{2, 0.25}, {4, 0.5}, {6, 0.75}}) {
        run.state.step = step;
        run.surgery.maybe_prune(run.state, 0);
        CHECK(run.state.sparsity == sparsity);
        CHECK(run.kept() == (step == 6 ? 24 : 96));
    }
    CHECK(run.printed.take().find("step 6: final sparsity 0.75, 24 of 96") != std::string::npos);
}

TEST_CASE("model surgery: an event that removes nothing plans no execution, except the last one") {
    for (const index_t step : {2, 6}) {
        CAPTURE(step);
        Run run({"prune.final_sparsity=0.5", "train.execution=sparse",
                 "prune.schedule={type: linear, start_step: 0, end_step: 6, every_steps: 2}"});
        keep_first(run.training.arena(), 10);
        run.state.step = step;
        run.surgery.maybe_prune(run.state, 0);
        CHECK(run.kept() == 20);
        CHECK(run.training.experiment.model.execution().describe() == (step == 6 ? "sparse sparse" : "dense dense"));
    }
}

TEST_CASE("model surgery: a plan after the last event is measured in any case, one before it only if there is time") {
    Run run({"prune.final_sparsity=0.5", "train.execution=auto", "prune.schedule={type: one_shot, at_step: 6}"});
    ExecutionPlanner& execution = run.training.experiment.model.execution();
    keep_first(run.training.arena(), 30);
    run.surgery.plan(1, 0);  // the first measurement
    double before = execution.measuring_s();
    CHECK(before > 0);
    keep_first(run.training.arena(), 5);
    execution.restore("dense dense");
    run.surgery.plan(2, 0);
    CHECK(execution.measuring_s() == before);
    run.surgery.plan(6, 0);
    CHECK(execution.measuring_s() > before);

    Run without_pruning({"train.execution=auto"});
    ExecutionPlanner& other = without_pruning.training.experiment.model.execution();
    keep_first(without_pruning.training.arena(), 30);
    without_pruning.surgery.plan(0, 0);
    before = other.measuring_s();
    keep_first(without_pruning.training.arena(), 5);
    other.restore("dense dense");
    without_pruning.surgery.plan(0, 0);
    CHECK(other.measuring_s() > before);
}

TEST_CASE("model surgery: a plan makes layers sparse, and tiles as wide as that needs") {
    for (const std::size_t kept : {1, 30}) {
        CAPTURE(kept);
        Run run({"train.execution=sparse", "data.samples=400", "train.global_batch=128"});
        keep_first(run.training.arena(), kept);
        run.surgery.plan(0, 0);
        Model& model = run.training.experiment.model;
        CHECK(model.execution().describe() == "sparse sparse");
        const index_t width = run.training.network().input_tiling(128).width;
        model.follow_execution();
        CHECK(run.training.network().input_tiling(128).width == width);
    }
}

TEST_CASE("model surgery: regrowth by gradients takes the places of the largest gradients of all weights") {
    const std::vector<std::string> overrides{
        "prune.final_sparsity=0.5", "prune.schedule={type: one_shot, at_step: 0}",
        "prune.regrow={type: gradient, fraction: 0.5, decay: constant, start_step: 0, every_steps: 2, end_step: 9}"};
    const std::string layers = "{layer: dense, units: 12}, {layer: relu}, {layer: dense, units: 3}";
    Run run(overrides, layers), twin(overrides, layers);
    for (Run* one : {&run, &twin}) {
        one->surgery.maybe_prune(one->state, 0);
        one->train(0, 2);
    }
    run.surgery.maybe_regrow(run.state);
    Arena& arena = twin.training.arena();
    const Communicator& shards = twin.training.experiment.grid.shards();
    const auto values = by_number(arena, arena.values(), shards);
    std::vector<std::optional<Pattern>> all;
    for (const auto* parameter : arena.parameters()) all.emplace_back(parameter->pattern.with_all());
    arena.set_patterns(std::move(all));
    twin.training.find_gradients(2);
    index_t compared = 0;
    for (std::size_t i = 0; i < arena.parameters().size(); ++i) {
        const Parameter& parameter = *arena.parameters()[i];
        if (!parameter.prunable) continue;
        std::vector<std::size_t> places;  // of the weights, by magnitude
        std::vector<std::size_t> free;
        const auto size = static_cast<std::size_t>(parameter.pattern.dense_size());
        for (std::size_t k = 0; k < size; ++k) (parameter.value[k] != 0 ? places : free).push_back(k);
        const auto smaller = [](std::span<real> numbers) {
            return [=](std::size_t a, std::size_t b) { return std::abs(numbers[a]) < std::abs(numbers[b]); };
        };
        std::ranges::sort(places, smaller(parameter.value));
        const std::size_t count = places.size() / 2;
        free.insert(free.end(), places.begin(), places.begin() + static_cast<std::ptrdiff_t>(count));
        std::ranges::sort(free, smaller(parameter.gradient));
        std::vector<index_t> expected(places.begin() + static_cast<std::ptrdiff_t>(count), places.end());
        expected.insert(expected.end(), free.end() - static_cast<std::ptrdiff_t>(count), free.end());
        std::ranges::sort(expected);
        CHECK(patterns_of(run.training.network())[i] == expected);
        ++compared;
    }
    CHECK(compared == 2);
}
