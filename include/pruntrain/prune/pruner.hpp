// Prune events: criterion x allocation x schedule, applied to a network.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/parallel/census.hpp"
#include "pruntrain/prune/allocation.hpp"
#include "pruntrain/prune/compatibility.hpp"
#include "pruntrain/prune/criterion.hpp"
#include "pruntrain/prune/granularity.hpp"
#include "pruntrain/prune/regrowth.hpp"
#include "pruntrain/prune/schedule.hpp"
#include "pruntrain/prune/scored.hpp"

namespace pruntrain {

/// The number of weights that a sparsity removes: floor(sparsity * weights), where a product that is an integer except
/// for the rounding of the decimal fraction counts as that integer.
index_t removed_count(double sparsity, index_t weights);

class Pruner {
   public:
    /// @param section  the `prune` section
    /// @param length  of a training
    /// @throws InputError if the floors or the allocation do not allow the final sparsity
    Pruner(const Config& section, std::uint64_t seed, const RunLength& length, const Network& network);

    bool event_at(index_t step) const { return schedule_->event_at(step); }
    /// What `prune` expects in the arena's gradients at an event; null: nothing.
    const ScoreInput* score_input(index_t step) const {
        return reactivates_all(step) ? nullptr : criterion_->score_input();
    }
    const Criterion& criterion() const { return *criterion_; }
    const Granularity& granularity() const { return *granularity_; }
    /// Calls of `prune` at an event.
    index_t rounds() const { return schedule_->rounds(); }
    double final_sparsity() const { return final_sparsity_; }
    /// The step from which the final sparsity is reached.
    index_t end_step() const { return schedule_->end_step(); }
    Rewinding rewinding() const { return schedule_->rewinding(); }
    /// Weights that score above the schedule's threshold remain, so the final sparsity may be lower.
    bool has_threshold() const { return schedule_->threshold().has_value(); }
    /// After an event, units and channels without weights are removed from the network.
    bool reconfigures() const { return reconfigures_; }
    /// Null: no weights become active again between the events.
    const Regrowth* regrowth() const { return regrowth_.get(); }
    /// There may be soft-pruned weights (SoftPrunedWeights), and so a slot that marks them.
    bool soft_prunes() const { return straight_through_ || (regrowth_ && regrowth_->soft_prunes()); }
    /// Added to the decay of soft-pruned weights.
    double hidden_decay() const { return hidden_decay_; }
    /// @throws InputError if a part of the run does not work with what the section selects
    void check_with(const RunPart& part) const;
    std::string describe() const;

    /// Removes weights of the model down to the count for a round of the event at `step`, on all replicas alike, or
    /// makes all active again, as 0, in a dense phase of the schedule. The count is exact over all shards, under the
    /// total order (score, then weight number). If more weights are above the schedule's threshold, those remain. No
    /// layer falls below its floor. With straight_through only the last round of the last event removes weights; the
    /// others mark them as soft-pruned. Collective.
    /// @return the hash of the pruned model, after a check that all ranks have the same; nothing if there was nothing
    ///     to do
    /// @throws std::runtime_error naming the ranks that differ
    /// @param round  from 1 to `rounds()`; 0: the last
    /// @param compensation  null, or what moves the weights that remain
    std::optional<ModelHash> prune(index_t step, Network& network, const Grid& grid, index_t round = 0,
                                   Compensation* compensation = nullptr) const;

    /// Removes weights of one prunable layer alone, by criterion and granularity, down to `keep`. Of groups as many
    /// remain as fit into `keep`, at least one. Collective over the grid. Not for runs (N:M).
    /// @param keep  from 1 to its remaining weights
    void prune_layer(const Parameter& weight, index_t keep, Arena& arena, const Grid& grid) const;

   private:
    /// The event makes all weights active again.
    bool reactivates_all(index_t step) const { return reactivates_all_ && schedule_->sparsity_at(step) == 0; }
    double sparsity_at(index_t step, index_t round) const;
    bool of_single_weights() const;
    bool in_groups(const PrunableLayer& layer) const;
    /// Marks what each group keeps.
    void mark(const std::vector<SelectionGroup>& groups, const std::vector<PrunableLayer>& layers,
              std::vector<Scored>& scored, const Grid& grid) const;
    std::vector<PrunableLayer> prunable_layers(const Network& network, std::span<const index_t> kept,
                                               index_t keep) const;

    double final_sparsity_;
    double layer_floor_;
    bool remove_zeros_;
    bool reconfigures_;
    bool straight_through_;
    double hidden_decay_;
    double hidden_trained_;
    index_t prunable_ = 0;  ///< weights before any pruning
    std::unique_ptr<Criterion> criterion_;
    std::unique_ptr<Granularity> granularity_;
    std::unique_ptr<Allocation> allocation_;
    std::unique_ptr<PruneSchedule> schedule_;
    std::unique_ptr<Regrowth> regrowth_;
    bool reactivates_all_ = false;  ///< at some events
    std::vector<RunPart> parts_;    ///< what the section selects, for checks against other parts of the run
};

}  // namespace pruntrain
