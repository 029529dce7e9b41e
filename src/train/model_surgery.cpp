#include "pruntrain/train/model_surgery.hpp"

#include "pruntrain/base/text.hpp"
#include "pruntrain/parallel/partition.hpp"
#include "pruntrain/parallel/state_partition.hpp"
#include "pruntrain/train/micro_batch_gradient.hpp"

namespace pruntrain {

namespace {

/// The trainer's services for computing a score input.
class TrainingContext final : public ScoreContext {
   public:
    TrainingContext(Experiment& experiment, const Slices& slices_of, BatchFeed& feed, TrainingStep& training_step,
                    index_t run_step)
        : ScoreContext(experiment.model.network(), experiment.grid, slices_of, run_step),
          experiment_(experiment),
          feed_(feed),
          training_step_(training_step) {}

    void find_loss_gradient(const LossOptions& options) override {
        training_step_.begin(batch(), {.training_step = experiment_.rewinding.training_step(step),
                                       .temperature = options.temperature,
                                       .choices = options.choices});
        training_step_.finish();
    }
    void find_micro_batch_gradient(const MicroBatches& micro_batches, index_t number,
                                   std::span<real> gradient) override {
        find_batch_gradient(experiment_, sampler_of(micro_batches, experiment_), number, gradient);
    }
    void sum_over_slices(const SetSlice& set) override { training_step_.sum_over_slices(set); }
    NetworkStep evaluation_step() override {
        const Batch& samples = batch();
        network.reserve(experiment_.slice_samples(grid.replicas().size()), slices.own().size);
        NetworkStep found;
        found.slices = samples.slices;
        found.tiling.samples = samples.samples();
        found.global_samples = samples.global_samples;
        return found;
    }

   private:
    const Batch& batch() {
        return feed_.batch(experiment_.rewinding.training_step(step), network.input_tiling(0).width);
    }

    Experiment& experiment_;
    BatchFeed& feed_;
    TrainingStep& training_step_;
};

}  // namespace

std::unique_ptr<Compensation> ModelSurgery::find(const ScoreInput& input, index_t step) {
    profile_.enter(Phase::prune);
    Network& network = model_.network();
    const SoftPrunedWeights::MaskScope masked = training_step_.mask();
    std::vector<std::vector<real>> statistics;  // a batch would change running means
    for (const auto& [layer, statistic] : network.statistics()) statistics.push_back(statistic->values);
    TrainingContext context(experiment_, slices_, feed_, training_step_, step);
    auto compensation = input.find(context);
    std::size_t next = 0;
    for (const auto& [layer, statistic] : network.statistics()) statistic->values = statistics[next++];
    profile_.enter(Phase::prune);
    return compensation;
}

void ModelSurgery::maybe_prune(RunState& state, double run_s) {
    if (experiment_.pruner && experiment_.pruner->event_at(state.step)) prune(state.step, state, run_s);
}

void ModelSurgery::catch_up(RunState& state, double run_s) {
    if (!experiment_.pruner || experiment_.rewinding.rounds() > 0) return;
    index_t event = state.step;
    while (event >= 0 && !experiment_.pruner->event_at(event)) --event;
    if (event < 0) return;
    const double before = state.sparsity;
    prune(event, state, run_s);
    if (state.sparsity != before)
        progress_.note(text("step ", state.updates(), ": the prune event of step ", event + state.step_offset,
                            " is made up for: sparsity ", exact(before), " to ", exact(state.sparsity)));
}

void ModelSurgery::prune(index_t event, RunState& state, double run_s) {
    const Pruner& pruner = *experiment_.pruner;
    const Grid& grid = model_.grid();
    std::optional<ModelHash> hash;  // of the last round that removed weights
    for (index_t round = 1; round <= pruner.rounds(); ++round) {
        std::unique_ptr<Compensation> compensation;
        if (const ScoreInput* const input = pruner.score_input(event)) compensation = find(*input, state.step);
        profile_.enter(Phase::prune);
        const auto pruned = pruner.prune(event, model_.network(), grid, round, compensation.get());
        if (pruned) hash = pruned;
    }
    if (hash && compact(state.step)) hash = consistent_model_hash(model_.network(), state.step, grid);
    PrunableCount count = count_prunable(model_.network(), count_kept(model_.network(), grid.shards()));
    if (pruner.soft_prunes())
        for (const index_t hidden : count_soft_pruned(model_.arena(), grid)) count.kept -= hidden;
    state.sparsity = count.sparsity();
    const bool last = event >= pruner.end_step();
    if (hash && last)
        progress_.note(text("step ", state.step, ": final sparsity ", exact(count.sparsity()), ", ",
                            grouped(count.kept), " of ", grouped(count.size), " prunable weights remain, pattern ",
                            hex(hash->pattern), " on all ranks"));
    if (hash) warn_of_dead_outputs(state);
    if (!hash && (!last || event != state.step)) return;
    plan_execution(state.step, run_s);
    rebalance(state.step, last);
}

void ModelSurgery::warn_of_dead_outputs(const RunState& state) {
    const std::vector<index_t> dead = outputs_without_weights(model_.network(), model_.grid().shards());
    if (dead.empty() || std::ssize(dead) == dead_outputs_) return;
    dead_outputs_ = std::ssize(dead);
    constexpr std::size_t most_shown = 10;
    std::vector<std::string> outputs;
    for (const index_t output : dead) outputs.push_back(std::to_string(output));
    progress_.note(text("warning: step ", state.updates(), ": outputs ", join_some(outputs, most_shown),
                        " of the network (", dead.size(),
                        " in all) have no weights left: they no longer depend on the input"));
}

void ModelSurgery::plan(index_t step, double run_s) {
    plan_execution(step, run_s);
    rebalance(step, false);
}

void ModelSurgery::plan_execution(index_t step, double run_s) {
    profile_.enter(Phase::plan);
    StepContext slice;
    slice.training = true;
    slice.seed = experiment_.settings.seed;
    slice.step = experiment_.rewinding.training_step(step);
    slice.tiling.samples = experiment_.slice_samples(experiment_.grid.replicas().size());
    slice.global_samples = experiment_.settings.global_batch;
    const bool last = !experiment_.pruner || step >= experiment_.pruner->end_step();
    const std::string changes = model_.execution().plan(slice, run_s, last);
    if (!changes.empty()) progress_.note(text("step ", step, ": ", changes));
    model_.follow_execution();
}

bool ModelSurgery::compact(index_t step) {
    if (!experiment_.pruner->reconfigures()) return false;
    profile_.enter(Phase::rebalance);
    const std::vector<std::string> changes = model_.compact();
    if (changes.empty()) return false;
    progress_.note(text("step ", step, ": removed from the network: ", join(changes)));
    return true;
}

void ModelSurgery::rebalance(index_t step, bool report) {
    const index_t shards = model_.grid().model_shards();
    if (shards == 1) return;
    profile_.enter(Phase::rebalance);
    constexpr double worth_moving = 0.98;  // only whole rows move, so a layer may not improve
    const Timer timer;
    auto layers = sparse_layers(model_.network(), model_.grid().shards());
    const double before = imbalance(layers);
    if (before > experiment_.settings.rebalance_above) {
        Partition partition = model_.partition();  // unchanged layers stay, without removed units
        for (auto& layer : layers) partition[layer.name] = layer.offsets = balanced_cut(layer.weights, shards);
        const double after = imbalance(layers);
        if (after < worth_moving * before) {
            model_.repartition(partition, Model::Weights::move);
            progress_.note(text("step ", step, ": rows moved between shards in ", fixed(timer.seconds(), 3),
                                " s: the fullest shard had ", fixed(before, 3), " times the mean non-zeros, now has ",
                                fixed(after, 3)));
            return;
        }
    }
    if (report && !layers.empty())
        progress_.note(text("step ", step, ": the fullest shard has ", fixed(before, 3), " times the mean non-zeros"));
}

void ModelSurgery::maybe_regrow(const RunState& state) {
    const Regrowth* const regrowth = experiment_.pruner ? experiment_.pruner->regrowth() : nullptr;
    if (regrowth == nullptr || !regrowth->event_at(state.step)) return;
    profile_.enter(Phase::prune);
    Network& network = model_.network();
    RegrowEvent event(*regrowth, state.step, network, model_.grid());
    if (event.empty()) return;
    const std::string execution = model_.execution().describe();
    if (regrowth->score_input() != nullptr) {
        event.densify();
        for (const std::size_t layer : network.layers_with_weights()) {
            WeightMatrix& weight = *network.layer(layer).weight_matrix();
            if (weight.parameter().pattern.full()) weight.execute(Execution::dense);
        }
        find(*regrowth->score_input(), state.step);
    }
    event.grow();
    model_.execution().restore(execution);  // no layer has more or fewer weights than before
    rebalance(state.step, false);
}

void ModelSurgery::maybe_rewind(const RunState& state) {
    const Rewinding& rewinding = experiment_.rewinding;
    Arena& arena = model_.arena();
    if (rewinding.remembers_at(state.step)) rewinding.remember(arena);
    if (!rewinding.rewinds_at(state.step)) return;
    profile_.enter(Phase::prune);
    rewinding.rewind(state.step, experiment_.settings.seed, model_.network());
    if (arena.state_is_partitioned()) all_gather_values(arena, model_.grid().replicas());
    consistent_model_hash(model_.network(), state.step, model_.grid());
    progress_.note(text("step ", state.step, ": training ", rewinding.ended_by(state.step) + 1, " of ",
                        rewinding.rounds() + 1, " begins, at sparsity ", fixed(state.sparsity, 4)));
}

}  // namespace pruntrain
