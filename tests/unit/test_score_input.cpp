// Two criteria that exist in this file alone, each with a quantity of its own: a prune event, the prediction of memory
// and the sensitivity analysis take them as they take the program's.
#include <doctest/doctest.h>

#include <bit>

#include "../support/training_twin.hpp"
#include "pruntrain/app/sensitivity.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/plan/rank_memory.hpp"
#include "pruntrain/train/micro_batch_gradient.hpp"
#include "pruntrain/train/model_surgery.hpp"

namespace pruntrain::test {

/// A pruner takes its criterion from the registry. Here it gets another one: access is not checked in an explicit
/// instantiation.
void set_criterion(Pruner& pruner, std::unique_ptr<Criterion> criterion);
template <auto Member>
struct CriterionOf {
    friend void set_criterion(Pruner& pruner, std::unique_ptr<Criterion> criterion) {
        pruner.*Member = std::move(criterion);
    }
};
template struct CriterionOf<&Pruner::criterion_>;

}  // namespace pruntrain::test

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

/// Of each weight of a dense layer, the standard deviation of the input feature that it multiplies, over the training
/// batch of the step.
class InputStd final : public ScoreInput {
   public:
    std::unique_ptr<Compensation> find(ScoreContext& context) const override {
        Network& network = context.network;
        const NetworkStep step = context.evaluation_step();
        for (std::size_t layer = 0; layer < network.layer_count(); ++layer) {
            if (WeightMatrix* const weight = network.layer(layer).weight_matrix()) {
                const auto features = static_cast<std::size_t>(network.layer(layer).input_shape().size());
                std::vector<double> rows, totals(2 * features);  // x and its square
                for (std::size_t slice = 0; slice < step.slice_count(); ++slice)
                    add_row(network.tiling(layer, step.slices[slice].samples), features,
                            layer == 0 ? step.slices[slice].input
                                       : network.activation(layer - 1, static_cast<index_t>(slice)),
                            rows);
                context.slices.finish(context.slices.start_sum(rows), totals);
                const auto count = static_cast<double>(step.global_samples);
                Parameter& parameter = weight->parameter();
                parameter.pattern.for_each_position([&](index_t k, index_t position) {
                    const auto feature = static_cast<std::size_t>(position % parameter.pattern.columns());
                    const double mean = totals[feature] / count;
                    parameter.gradient[static_cast<std::size_t>(k)] =
                        static_cast<real>(std::sqrt(totals[features + feature] / count - mean * mean));
                });
            }
            network.forward(step, layer);
        }
        return nullptr;
    }
    index_t arrays_held(index_t, index_t) const override { return 0; }
    Requirements requirements() const override {
        return {.gradients_only = false,
                .exact_sums = false,
                .all_weights = false,
                .micro_batch_samples = 0,
                .channel_scale = false};
    }

   private:
    /// Appends the sums of a slice. @param x  (tile, feature, sample)
    static void add_row(const Tiling& tiling, std::size_t features, const real* x, std::vector<double>& rows) {
        std::vector<double> row(2 * features);
        for (index_t tile = 0; tile < tiling.tiles(); ++tile)
            for (std::size_t feature = 0; feature < features; ++feature, x += tiling.width)
                for (index_t lane = 0; lane < tiling.lanes(tile); ++lane) {
                    row[feature] += x[lane];
                    row[features + feature] += double{x[lane]} * x[lane];
                }
        rows.insert(rows.end(), row.begin(), row.end());
    }
};

/// The mean absolute gradient over micro-batches.
class AbsoluteGradient final : public ScoreInput {
   public:
    explicit AbsoluteGradient(const MicroBatches& micro_batches) : micro_batches_(micro_batches) {}

    std::unique_ptr<Compensation> find(ScoreContext& context) const override {
        AlignedVector<real> gradient(context.network.arena().gradients().size());
        context.sum_over_slices([&](index_t slice, std::span<real> sums) {
            std::ranges::fill(sums, real{0});
            const Block own = even_block(micro_batches_.count, slice, context.slices.count());
            for (index_t number = own.first; number < own.first + own.size; ++number) {
                context.find_micro_batch_gradient(micro_batches_, number, gradient);
                for (std::size_t k = 0; k < sums.size(); ++k)
                    sums[k] += std::abs(gradient[k]) / static_cast<real>(micro_batches_.count);
            }
        });
        return nullptr;
    }
    index_t arrays_held(index_t, index_t slices) const override {
        return 1 + static_cast<index_t>(std::bit_width(static_cast<std::uint64_t>(slices - 1)));
    }
    Requirements requirements() const override {
        return {.gradients_only = true,
                .exact_sums = false,
                .all_weights = false,
                .micro_batch_samples = micro_batches_.samples,
                .channel_scale = false};
    }

   private:
    MicroBatches micro_batches_;
};

/// Takes a great deal of memory.
class Hungry final : public ScoreInput {
   public:
    explicit Hungry(index_t arrays) : arrays_(arrays) {}
    std::unique_ptr<Compensation> find(ScoreContext&) const override { return nullptr; }
    index_t arrays_held(index_t replicas, index_t slices) const override { return arrays_ * replicas * slices; }
    Requirements requirements() const override {
        return {.gradients_only = true,
                .exact_sums = false,
                .all_weights = false,
                .micro_batch_samples = 0,
                .channel_scale = false};
    }

   private:
    index_t arrays_;
};

/// |weight| x quantity.
class Weighted final : public Criterion {
   public:
    explicit Weighted(std::unique_ptr<ScoreInput> input) : input_(std::move(input)) {}
    const ScoreInput* score_input() const override { return input_.get(); }
    std::vector<real> scores(const Parameter& parameter) const override {
        std::vector<real> all(parameter.value.size());
        for (std::size_t k = 0; k < all.size(); ++k) all[k] = std::abs(parameter.value[k]) * parameter.gradient[k];
        return all;
    }
    Traits traits() const override { return {}; }
    std::string describe() const override { return "a criterion of a test"; }

   private:
    std::unique_ptr<ScoreInput> input_;
};

/// A run with one prune event, before training.
struct Pruned {
    explicit Pruned(std::unique_ptr<ScoreInput> input, const std::string& more = "train.sum=fast")
        : training({"prune.final_sparsity=0.5", "prune.layer_floor=0", "prune.schedule.type=one_shot", more}),
          progress(ProgressMode::lines, 1, training.experiment.length, false),
          surgery(training.experiment, training.slices, training.feed, training.step, training.profile, progress) {
        set_criterion(*training.experiment.pruner, std::make_unique<Weighted>(std::move(input)));
        weights = by_number(training.arena(), training.arena().values(), training.experiment.grid.shards());
    }
    /// The weights that an event removes from parameters with more than one column, by number.
    std::vector<weight_number_t> removed() {
        RunState state;
        surgery.maybe_prune(state, 0);
        CHECK(state.sparsity == 0.5);
        std::vector<weight_number_t> gone;
        const auto left = by_number(training.arena(), training.arena().values(), training.experiment.grid.shards());
        for (weight_number_t number = 0; number < left.size(); ++number)
            if (weights[number] != 0 && left[number] == 0) gone.push_back(number);
        return gone;
    }
    Training training;
    Progress progress;
    ModelSurgery surgery;
    std::vector<real> weights;  ///< before, by number
};

constexpr weight_number_t bias1 = 35, weight2 = 42, bias2 = 63;  ///< of 5 inputs, 7 hidden units, 3 outputs

/// The smaller half of the weights first .. by score.
std::vector<weight_number_t> smaller_half(const std::vector<double>& scores, std::vector<weight_number_t> numbers) {
    std::ranges::sort(numbers, [&](auto a, auto b) { return scores[a] < scores[b]; });
    const std::size_t half = numbers.size() / 2;
    REQUIRE(scores[numbers[half]] > scores[numbers[half - 1]] * (1 + 1e-4));  // rounding decides nothing
    numbers.resize(half);
    std::ranges::sort(numbers);
    return numbers;
}

std::vector<weight_number_t> all_weights() {
    std::vector<weight_number_t> numbers;
    for (weight_number_t number = 0; number < bias2; ++number)
        if (number < bias1 || number >= weight2) numbers.push_back(number);
    return numbers;
}

/// |w| x standard deviation of the input over the first batch, sample by sample.
std::vector<double> std_scores(const Pruned& run) {
    const Dataset& dataset = run.training.experiment.dataset;
    std::vector<index_t> indices;
    run.training.experiment.sampler.draw(0, run.training.experiment.sampler.part(0, 0, 1), indices);
    std::vector<std::vector<double>> inputs;  // of each sample: 5 of the first layer, 7 of the second
    for (const index_t index : indices) {
        std::vector<real> x(5 * 8);
        float target = 0;
        dataset.assemble(Split::train, std::span(&index, 1), {1, 8}, x.data(), &target);
        std::vector<double>& own = inputs.emplace_back();
        for (std::size_t i = 0; i < 5; ++i) own.push_back(x[i * 8]);
        for (std::size_t j = 0; j < 7; ++j) {
            double unit = run.weights[bias1 + j];
            for (std::size_t i = 0; i < 5; ++i) unit += run.weights[j * 5 + i] * own[i];
            own.push_back(std::max(unit, 0.0));
        }
    }
    std::vector<double> std_of(12);
    for (std::size_t feature = 0; feature < 12; ++feature) {
        double mean = 0;
        for (const auto& own : inputs) mean += own[feature] / static_cast<double>(inputs.size());
        for (const auto& own : inputs)
            std_of[feature] += std::pow(own[feature] - mean, 2) / static_cast<double>(inputs.size());
        std_of[feature] = std::sqrt(std_of[feature]);
    }
    std::vector<double> scores(run.weights.size());
    for (weight_number_t number = 0; number < bias1; ++number)
        scores[number] = std::abs(run.weights[number]) * std_of[number % 5];
    for (weight_number_t number = weight2; number < bias2; ++number)
        scores[number] = std::abs(run.weights[number]) * std_of[5 + (number - weight2) % 7];
    return scores;
}

constexpr MicroBatches micro_batches{3, 5};

/// |w| x mean |gradient| over the micro-batches, by the twin.
std::vector<double> gradient_scores(const Pruned& run) {
    const Experiment& experiment = run.training.experiment;
    const Sampler sampler = sampler_of(micro_batches, experiment);
    std::vector<double> scores(run.weights.size());
    for (index_t number = 0; number < micro_batches.count; ++number) {
        const TwinSums twin = twin_sums(experiment.dataset, sampler, number, {5, 7, 3}, run.weights);
        for (std::size_t k = 0; k < scores.size(); ++k)
            scores[k] += std::abs(twin.gradients[k]) / static_cast<double>(micro_batches.count);
    }
    for (std::size_t k = 0; k < scores.size(); ++k) scores[k] *= std::abs(run.weights[k]);
    return scores;
}

}  // namespace

TEST_CASE("score input: an event prunes by the standard deviation of inputs, a statistic of activations") {
    for (const std::string more : {"train.sum=fast", "train.sum=ordered"}) {
        CAPTURE(more);
        Pruned run(std::make_unique<InputStd>(), more);
        const auto expected = smaller_half(std_scores(run), all_weights());
        CHECK(run.removed() == expected);
    }
}

TEST_CASE("score input: an event prunes by the mean absolute gradient over micro-batches") {
    for (const std::string more : {"train.sum=fast", "train.sum=ordered"}) {
        CAPTURE(more);
        Pruned run(std::make_unique<AbsoluteGradient>(micro_batches), more);
        const auto expected = smaller_half(gradient_scores(run), all_weights());
        CHECK(expected != smaller_half(std_scores(run), all_weights()));
        CHECK(run.removed() == expected);
    }
}

TEST_CASE("score input: the prediction of memory counts the arrays that a score input holds") {
    Pruned little(std::make_unique<Hungry>(0), "train.sum=ordered");
    const Experiment& experiment = little.training.experiment;
    const index_t size = little.training.arena().size(), slices = experiment.slices_of_rank();
    REQUIRE(slices == 8);
    const double selecting = memory_of_rank(experiment, 28).event;
    CHECK(selecting > 0);
    for (const index_t arrays : {1, 5, 100}) {
        set_criterion(*little.training.experiment.pruner, std::make_unique<Weighted>(std::make_unique<Hungry>(arrays)));
        const auto scoring = static_cast<double>(arrays * slices * size) * sizeof(real);
        CHECK(memory_of_rank(experiment, 28).event == std::max(selecting, scoring));
        CHECK(memory_of_rank(experiment, 0).event == 0);  // a run that removes nothing has no event
    }
}

TEST_CASE("score input: sensitivity takes a quantity of gradients alone, and refuses what needs a training batch") {
    Pruned run(std::make_unique<AbsoluteGradient>(micro_batches));
    std::vector<weight_number_t> second;
    for (weight_number_t number = weight2; number < bias2; ++number) second.push_back(number);
    const std::vector<double> scores = gradient_scores(run);
    second.erase(std::ranges::max_element(second, {}, [&](auto number) { return scores[number]; }));
    const auto gone = smaller_half(scores, second);  // 10 of 21 weights, the best one apart
    Experiment& experiment = run.training.experiment;
    const Sensitivity found = analyze_sensitivity(experiment, {10.0 / 21}, Split::validation, 0, Communicator::world());
    REQUIRE(found.points.size() == 2);
    CHECK(found.points[1].layer == "dense2");
    CHECK(found.points[1].kept == 11);

    Network& network = run.training.network();
    const auto validation_loss = [&] {
        return evaluate(network, *experiment.loss, experiment.dataset, Split::validation, run.training.slices).loss;
    };
    CHECK(found.whole.loss == doctest::Approx(validation_loss()).epsilon(1e-6));
    for (Parameter* const parameter : network.parameters())
        parameter->for_each_number([&](index_t k, weight_number_t number) {
            if (std::ranges::binary_search(gone, number)) parameter->value[static_cast<std::size_t>(k)] = 0;
        });
    CHECK(found.points[1].loss == doctest::Approx(validation_loss()).epsilon(1e-6));

    set_criterion(*experiment.pruner, std::make_unique<Weighted>(std::make_unique<InputStd>()));
    CHECK_THROWS_WITH_AS(analyze_sensitivity(experiment, {0.5}, Split::validation, 0, Communicator::world()),
                         doctest::Contains("a criterion of a test, which looks at more than weights"), InputError);
}
