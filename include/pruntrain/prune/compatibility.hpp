// Which parts of pruning work together, with each other and with the run: all refusals are decided and worded here.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pruntrain/prune/allocation.hpp"
#include "pruntrain/prune/criterion.hpp"
#include "pruntrain/prune/granularity.hpp"
#include "pruntrain/prune/regrowth.hpp"
#include "pruntrain/prune/schedule.hpp"
#include "pruntrain/prune/traits.hpp"

namespace pruntrain {

enum class PartKind {
    criterion,
    granularity,
    allocation,
    schedule,
    regrowth,
    reconfigure,
    straight_through,
    hidden_decay,
    hidden_trained,
    layer,       ///< of the model
    gradients,   ///< on their way between the ranks
    start_file,  ///< with the first weights of the run
};

/// One part of a run, as the table sees it.
struct RunPart {
    PartKind kind;
    std::string place;  ///< its key, for messages; empty: it has none
    std::string description;
    Traits traits;
};

/// What a prune section selects.
struct PruneChoice {
    const Config& section;
    const Criterion& criterion;
    const Granularity& granularity;
    const Allocation& allocation;
    const PruneSchedule& schedule;
    const Regrowth* regrowth;  ///< null: none
    double final_sparsity;
    bool reconfigures, straight_through;
    double hidden_decay, hidden_trained;
    bool single_layer;  ///< is prunable: all its weights compete, whatever the allocation
};

/// Its members and switches.
std::vector<RunPart> parts_of(const PruneChoice& choice);

/// @throws InputError for the first rule by which one of the parts refuses another
void check_parts(std::span<const RunPart> parts);

/// Sparsity, floors and times that the members allow together. @param keep  weights that remain in the end
/// @throws InputError
void check_amounts(const PruneChoice& choice, std::span<const PrunableLayer> layers, index_t keep);

/// @param samples  of the training split @throws InputError if the micro-batches of a criterion are larger
void check_micro_batches(const Config& section, const Criterion& criterion, index_t samples);

}  // namespace pruntrain
