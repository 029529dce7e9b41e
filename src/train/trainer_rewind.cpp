// Trainer: back to an earlier step.
#include "pruntrain/parallel/state_partition.hpp"
#include "pruntrain/train/trainer.hpp"

namespace pruntrain {

void Trainer::maybe_rewind() {
    const Rewinding& rewinding = experiment_.rewinding;
    Arena& arena = network_.arena();
    if (rewinding.remembers_at(state_.step)) rewinding.remember(arena);
    if (!rewinding.rewinds_at(state_.step)) return;
    profile_.enter(Phase::prune);
    rewinding.rewind(state_.step, experiment_.settings.seed, network_);
    if (arena.state_is_partitioned()) all_gather_values(arena, grid_.replicas());
    reducer_.reset_residual();  // it is of other weights
    consistent_model_hash(network_, state_.step, grid_);
    progress_.note(text("step ", state_.step, ": training ", rewinding.ended_by(state_.step) + 1, " of ",
                        rewinding.rounds() + 1, " begins, at sparsity ", fixed(state_.sparsity, 4)));
}

}  // namespace pruntrain
