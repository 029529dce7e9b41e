// What the parts of pruning declare about themselves, as data, so that one table decides which work together.
#pragma once

#include <algorithm>
#include <vector>

namespace pruntrain {

/// A property of a part, which another part may not work with.
enum class Trait {
    signed_scores,           ///< scores may be below 0
    unit_scores,             ///< all weights into a unit or channel have the same score
    needs_all_weights,       ///< scores are defined for a network that uses all its weights
    whole_outputs,           ///< all weights of an output are pruned together
    fixed_runs,              ///< weights compete within runs of neighbouring inputs only (N:M)
    chosen_allocation,       ///< the configuration names an allocation
    score_threshold,         ///< weights with a score above a threshold remain, whatever the sparsity
    reactivates_all,         ///< some events make all weights active again
    rewinds,                 ///< training returns to an earlier step
    prunes_before_training,  ///< there is a prune event at step 0
    regrows,                 ///< single weights become active again between prune events
    removes_units,           ///< units and channels without weights are removed from the network
    starts_pruned,           ///< weights are missing from the start
    straight_through,        ///< pruned weights stay trainable until the last event
    no_straight_through,     ///< they do not
    nothing_soft_pruned,     ///< there is never a soft-pruned weight
    rounded_gradients,       ///< gradients are rounded on their way between nodes
    cut_by_inputs,           ///< no shard has all inputs of an output of a prunable layer
    no_batch_norm,           ///< no batch-norm follows a prunable layer
};

struct Traits {
    std::vector<Trait> has;
    std::vector<Trait> refuses;  ///< of any other part

    bool holds(Trait trait) const { return std::ranges::find(has, trait) != has.end(); }
    bool rejects(Trait trait) const { return std::ranges::find(refuses, trait) != refuses.end(); }
};

}  // namespace pruntrain
