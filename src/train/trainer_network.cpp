// Trainer: another network of the same model takes the place of the present one.
#include <algorithm>

#include "pruntrain/base/text.hpp"
#include "pruntrain/parallel/shard_cuts.hpp"
#include "pruntrain/train/trainer.hpp"

namespace pruntrain {

void Trainer::rebalance(bool tell) {
    if (grid_.model_shards() == 1) return;
    profile_.enter(Phase::rebalance);
    constexpr double worth_moving = 0.98;  // rows are whole: a layer may not get better
    const Timer timer;
    const double allowed = experiment_.settings.rebalance_above;
    auto layers = sparse_layers(network_, grid_.shards());
    const double before = imbalance(layers);
    if (before > allowed) {
        ShardCuts cuts = cuts_of(state_.shard_cuts);  // the others stay as they are, without units that were removed
        for (auto& layer : layers) cuts[layer.name] = layer.begins = balanced_cut(layer.weights, grid_.model_shards());
        const double after = imbalance(layers);
        if (after < worth_moving * before) {
            cut(cuts, true);
            progress_.note(text("step ", state_.step, ": rows moved between shards in ", fixed(timer.seconds(), 3),
                                " s: the fullest shard had ", fixed(before, 3), " times the mean of the weights, has ",
                                fixed(after, 3)));
            return;
        }
    }
    if (tell && !layers.empty())
        progress_.note(
            text("step ", state_.step, ": the fullest shard has ", fixed(before, 3), " times the mean of the weights"));
}

void Trainer::cut(const ShardCuts& cuts, bool move) {
    const std::string execution = planner_.describe();
    experiment_.cut(cuts, move);
    take_network(cuts, execution);
}

bool Trainer::shrink() {
    if (!experiment_.pruner->reconfigures()) return false;
    profile_.enter(Phase::rebalance);
    const LivingOutputs living = fold_dead_outputs(network_, grid_.shards());
    const std::optional<ShardCuts> cuts = cuts_of_living(network_, living);
    if (!cuts) return false;
    std::vector<std::string> changes;
    for (const auto& [layer, outputs] : living)
        if (const index_t now = cuts->at(layer).back(); now < std::ssize(outputs))
            changes.push_back(text(layer, " ", outputs.size(), " to ", now));
    const std::string execution = planner_.describe();
    experiment_.shrink(*cuts, living);
    take_network(*cuts, execution);
    progress_.note(text("step ", state_.step, ": removed from the network: ", join(changes)));
    return true;
}

void Trainer::take_network(const ShardCuts& cuts, const std::string& execution) {
    planner_.restore(execution);
    network_.set_tile_widths(planner_.tile_widths(slice_samples()));
    network_.reserve(slice_samples(), slices_.own().size);
    reducer_.forget_rounding();  // numbers have other places
    hidden_.forget();
    state_.shard_cuts = text_of(cuts);
    batch_step_ = -1;  // it stood in the network that is gone
}

}  // namespace pruntrain
