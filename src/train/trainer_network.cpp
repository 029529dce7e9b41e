// Trainer: another network of the same model takes the place of the present one.
#include <algorithm>

#include "pruntrain/base/text.hpp"
#include "pruntrain/parallel/partition.hpp"
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
        Partition cuts =
            parse_partition(state_.partition);  // the others stay as they are, without units that were removed
        for (auto& layer : layers) cuts[layer.name] = layer.offsets = balanced_cut(layer.weights, grid_.model_shards());
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

void Trainer::cut(const Partition& cuts, bool move) {
    const std::string execution = planner_.describe();
    experiment_.cut(cuts, move);
    take_network(cuts, execution);
}

bool Trainer::shrink() {
    if (!experiment_.pruner->reconfigures()) return false;
    profile_.enter(Phase::rebalance);
    const AliveChannels alive = fold_dead_channels(network_, grid_.shards());
    const std::optional<Partition> cuts = partition_of_alive(network_, alive);
    if (!cuts) return false;
    std::vector<std::string> changes;
    for (const auto& [layer, outputs] : alive)
        if (const index_t now = cuts->at(layer).back(); now < std::ssize(outputs))
            changes.push_back(text(layer, " ", outputs.size(), " to ", now));
    const std::string execution = planner_.describe();
    experiment_.shrink(*cuts, alive);
    take_network(*cuts, execution);
    progress_.note(text("step ", state_.step, ": removed from the network: ", join(changes)));
    return true;
}

void Trainer::take_network(const Partition& cuts, const std::string& execution) {
    planner_.restore(execution);
    network_.set_tile_widths(planner_.tile_widths(slice_samples()));
    network_.reserve(slice_samples(), slices_.own().size);
    reducer_.reset_residual();  // numbers have other places
    soft_pruned_.invalidate();
    state_.partition = text_of(cuts);
    batch_step_ = -1;  // it stood in the network that is gone
}

}  // namespace pruntrain
