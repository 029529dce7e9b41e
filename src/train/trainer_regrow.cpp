// Trainer: weights that come back, and those that are hidden.
#include "pruntrain/parallel/state_partition.hpp"
#include "pruntrain/train/trainer.hpp"

namespace pruntrain {

SoftPrunedWeights::MaskScope Trainer::hide() {
    Arena& arena = network_.arena();
    if (experiment_.pruner && experiment_.pruner->soft_prunes() && !soft_pruned_.known()) {
        std::vector<real> marks(arena.values().size());
        all_gather_slot(arena, arena.slot_number(soft_pruned_slot), grid_.replicas(), marks);
        soft_pruned_.load_marks(marks);
    }
    return {soft_pruned_, arena};
}

void Trainer::maybe_regrow() {
    const Regrowth* const regrowth = experiment_.pruner ? experiment_.pruner->regrowth() : nullptr;
    if (regrowth == nullptr || !regrowth->event_at(state_.step)) return;
    profile_.enter(Phase::prune);
    RegrowEvent event(*regrowth, state_.step, network_, grid_);
    if (event.empty()) return;
    const std::string execution = planner_.describe();
    reducer_.reset_residual();  // numbers get other places
    if (regrowth->score_input() != ScoreInput::nothing) {
        event.densify();
        for (const std::size_t layer : network_.layers_with_weights()) {
            WeightMatrix& weight = *network_.layer(layer).weight_matrix();
            if (weight.parameter().pattern.full()) weight.execute(Execution::dense);
        }
        find_gradients(regrowth->score_input());
        profile_.enter(Phase::prune);
        reducer_.reset_residual();
    }
    event.grow();
    soft_pruned_.invalidate();
    planner_.restore(execution);  // no layer has more or fewer weights than before
    rebalance(false);
}

}  // namespace pruntrain
