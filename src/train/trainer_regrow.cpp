// Trainer: weights that come back, and those that are hidden.
#include "pruntrain/parallel/optimizer_shards.hpp"
#include "pruntrain/train/trainer.hpp"

namespace pruntrain {

HiddenWeights::Hiding Trainer::hide() {
    Arena& arena = network_.arena();
    if (experiment_.pruner && experiment_.pruner->hides() && !hidden_.known()) {
        std::vector<real> marks(arena.values().size());
        gather_slot(arena, arena.slot_number(hidden_slot), grid_.replicas(), marks);
        hidden_.learn(marks);
    }
    return {hidden_, arena};
}

void Trainer::maybe_regrow() {
    const Regrowth* const regrowth = experiment_.pruner ? experiment_.pruner->regrowth() : nullptr;
    if (regrowth == nullptr || !regrowth->event_at(state_.step)) return;
    profile_.enter(Phase::prune);
    RegrowEvent event(*regrowth, state_.step, network_, grid_);
    if (event.empty()) return;
    const std::string execution = planner_.describe();
    reducer_.forget_rounding();  // numbers get other places
    if (regrowth->gradient_of() != GradientOf::nothing) {
        event.widen();
        for (const std::size_t layer : network_.layers_with_weights()) {
            WeightMatrix& weight = *network_.layer(layer).weight_matrix();
            if (weight.parameter().pattern.full()) weight.execute(Execution::dense);
        }
        find_gradients(regrowth->gradient_of());
        profile_.enter(Phase::prune);
        reducer_.forget_rounding();
    }
    event.grow();
    hidden_.forget();
    planner_.restore(execution);  // no layer has more or fewer weights than before
    rebalance(false);
}

}  // namespace pruntrain
