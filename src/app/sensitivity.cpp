#include "pruntrain/app/sensitivity.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/table.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/train/micro_batch_gradient.hpp"

namespace pruntrain {

namespace {

/// What one rank alone can find: gradients of batches as in an evaluation.
class LocalContext final : public ScoreContext {
   public:
    LocalContext(Experiment& experiment, const Grid& grid_of, const Slices& slices_of, index_t step_of)
        : ScoreContext(experiment.model.network(), grid_of, slices_of, step_of), experiment_(experiment) {}

    void find_loss_gradient(const LossOptions& options) override {
        if (options.temperature != 1 || options.choices != Choices::free)
            fault("a gradient with a temperature or with recorded choices outside of training");
        find_batch_gradient(experiment_, experiment_.sampler, step, network.arena().gradients());
    }
    void find_micro_batch_gradient(const MicroBatches& micro_batches, index_t number,
                                   std::span<real> gradient) override {
        find_batch_gradient(experiment_, sampler_of(micro_batches, experiment_), number, gradient);
    }
    void sum_over_slices(const SetSlice& set) override { set(0, network.arena().gradients()); }
    NetworkStep evaluation_step() override { fault("a batch of training outside of training"); }

   private:
    Experiment& experiment_;
};

/// What the criterion looks at, of the network as it is, in the arena's gradients. Every rank finds the same by itself.
void find_score_input(Experiment& experiment, index_t step, const Grid& grid) {
    const ScoreInput* const input = experiment.pruner->criterion().score_input();
    if (input == nullptr) return;
    const Slices one(grid.replicas());
    LocalContext context(experiment, grid, one, step);
    input->find(context);
}

void check(const Experiment& experiment, const std::vector<double>& sparsities) {
    if (!experiment.pruner)
        input_error("the configuration has no prune section: give its criterion, prune.criterion=magnitude");
    if (experiment.grid.model_shards() > 1)
        input_error("parallel.model_shards is ", experiment.grid.model_shards(),
                    ": every rank evaluates whole models, set it to 1");
    const Criterion& criterion = experiment.pruner->criterion();
    if (criterion.score_input() != nullptr && !criterion.score_input()->requirements().gradients_only)
        input_error("prune.criterion is ", criterion.describe(), ", which looks at more than weights and their ",
                    "gradients: give another one, prune.criterion=magnitude");
    if (experiment.pruner->granularity().runs())
        input_error("prune.granularity is ", experiment.pruner->granularity().describe(),
                    ", which has one sparsity for all ", "layers: give another one, prune.granularity=weight");
    if (sparsities.empty()) input_error("there are no sparsities: give at least one");
    for (const double sparsity : sparsities)
        if (!(sparsity >= 0 && sparsity < 1)) input_error("a sparsity is ", exact(sparsity), ": allowed is 0 <= x < 1");
}

/// Puts a network back as it was.
class Snapshot {
   public:
    explicit Snapshot(Arena& arena)
        : arena_(arena),
          values_(arena.values().begin(), arena.values().end()),
          gradients_(arena.gradients().begin(), arena.gradients().end()) {
        for (const auto* parameter : arena.parameters()) patterns_.push_back(parameter->pattern);
    }
    /// @param weight  the only parameter that may have lost weights
    void restore(const Parameter& weight) {
        std::vector<std::optional<Pattern>> patterns(patterns_.size());
        for (std::size_t i = 0; i < patterns.size(); ++i)
            if (arena_.parameters()[i] == &weight) patterns[i] = patterns_[i];
        arena_.set_patterns(std::move(patterns));
        std::ranges::copy(values_, arena_.values().begin());
        std::ranges::copy(gradients_, arena_.gradients().begin());
    }

   private:
    Arena& arena_;
    std::vector<real> values_, gradients_;
    std::vector<Pattern> patterns_;
};

index_t kept_at(double sparsity, index_t size) { return std::max<index_t>(1, size - removed_count(sparsity, size)); }

}  // namespace

Sensitivity analyze_sensitivity(Experiment& experiment, std::vector<double> sparsities, Split split, index_t step,
                                const Communicator& world) {
    check(experiment, sparsities);
    std::ranges::sort(sparsities);
    sparsities.erase(std::unique(sparsities.begin(), sparsities.end()), sparsities.end());
    Network& network = experiment.model.network();
    experiment.model.create_slots({});
    const Communicator self = world.split(world.rank());
    const Grid grid(self, 1);
    // With sum: ordered, as it is evaluated on any number of ranks, else as on one.
    const Slices slices = experiment.settings.slices > 0 ? Slices(self, experiment.settings.slices) : Slices(self);

    Sensitivity result;
    std::vector<const Parameter*> weights;  // of each point
    for (const auto* parameter : network.parameters())
        for (const double sparsity : sparsities) {
            if (!parameter->prunable) continue;
            result.points.push_back(
                {.layer = parameter->layer, .sparsity = sparsity, .size = parameter->tensor_size()});
            weights.push_back(parameter);
        }
    // Loss, accuracy and remaining weights of all points, last those of the unchanged network; 0 if another rank has
    // them.
    constexpr std::size_t numbers = 3;
    const std::size_t points = result.points.size();
    std::vector<double> found(numbers * (points + 1), 0.0);
    world.rethrow_collectively([&] {
        find_score_input(experiment, step, grid);
        Snapshot snapshot(network.arena());
        for (std::size_t i = world.rank(); i <= points; i += static_cast<std::size_t>(world.size())) {
            if (i < points) {
                const index_t keep = kept_at(result.points[i].sparsity, result.points[i].size);
                if (keep < weights[i]->pattern.kept())
                    experiment.pruner->prune_layer(*weights[i], keep, network.arena(), grid);
            }
            const Evaluation one = evaluate(network, *experiment.loss, experiment.dataset, split, slices);
            found[numbers * i] = one.loss;
            found[numbers * i + 1] = one.accuracy;
            if (i == points) continue;
            found[numbers * i + 2] = static_cast<double>(weights[i]->pattern.kept());
            snapshot.restore(*weights[i]);
        }
    });
    world.all_reduce_sum(std::span<double>(found));  // of zeros and one number each: exact
    result.whole = {experiment.dataset.samples(split), found[numbers * points], found[numbers * points + 1]};
    const auto samples = static_cast<double>(result.whole.samples);
    for (std::size_t i = 0; i < points; ++i) {
        SensitivityPoint& point = result.points[i];
        point.loss = found[numbers * i];
        point.accuracy = found[numbers * i + 1];
        point.kept = static_cast<index_t>(found[numbers * i + 2]);
        // By whole samples, so that a drop of 1 point is 1, not nearly 1.
        point.drop = 100 * std::round((result.whole.accuracy - point.accuracy) * samples) / samples;
    }
    return result;
}

namespace {

/// In quotes where it has what means something else in YAML.
std::string yaml_key(const std::string& name) {
    if (std::ranges::all_of(name, [](unsigned char letter) { return std::isalnum(letter) != 0 || letter == '_'; }))
        return name;
    std::string quoted = "'";
    for (const char letter : name) quoted += letter == '\'' ? "''" : std::string(1, letter);
    return quoted + "'";
}

}  // namespace

std::optional<std::string> allocation_yaml(const Sensitivity& sensitivity, double drop) {
    if (std::isnan(sensitivity.whole.accuracy)) return {};
    struct Choice {
        std::string layer;
        index_t size;
        double sparsity;
    };
    std::vector<Choice> choices;
    for (const SensitivityPoint& point : sensitivity.points) {
        if (choices.empty() || choices.back().layer != point.layer) choices.push_back({point.layer, point.size, 0});
        // Not where whole groups could not get there: neither could a run.
        const bool reached = point.kept <= kept_at(point.sparsity, point.size);
        if (reached && point.drop <= drop) choices.back().sparsity = point.sparsity;
    }
    double removed = 0, size = 0;
    std::vector<std::string> entries;
    for (const Choice& choice : choices) {
        entries.push_back(yaml_key(choice.layer) + ": " + exact(choice.sparsity));
        removed += choice.sparsity * static_cast<double>(choice.size);
        size += static_cast<double>(choice.size);
    }
    // Without a floor, which could keep more of a layer than the table says.
    return text("final_sparsity: ", exact(removed / size),
                "\nlayer_floor: 0\nallocation: {type: per_layer, sparsity: {", join(entries), "}}\n");
}

std::string sensitivity_text(const Sensitivity& sensitivity) {
    const bool classifies = !std::isnan(sensitivity.whole.accuracy);
    std::vector<std::vector<std::string>> rows{{"layer", "weights", "sparsity", "density", "loss"}};
    if (classifies) rows.back().insert(rows.back().end(), {"accuracy", "drop"});
    for (const SensitivityPoint& point : sensitivity.points) {
        rows.push_back(
            {point.layer, grouped(point.size), exact(point.sparsity), fixed(point.density(), 4), fixed(point.loss, 4)});
        if (classifies) rows.back().insert(rows.back().end(), {fixed(point.accuracy, 4), fixed(point.drop, 2)});
    }
    return table(rows);
}

std::string sensitivity_csv(const Sensitivity& sensitivity) {
    const auto known = [](double value) { return std::isnan(value) ? std::string() : exact(value); };
    std::string csv = "layer,sparsity,density,loss,accuracy,drop\n";
    for (const SensitivityPoint& point : sensitivity.points)
        csv += text(csv_field(point.layer), ",", exact(point.sparsity), ",", exact(point.density()), ",",
                    known(point.loss), ",", known(point.accuracy), ",", known(point.drop), "\n");
    return csv;
}

}  // namespace pruntrain
