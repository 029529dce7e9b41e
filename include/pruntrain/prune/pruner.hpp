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
#include "pruntrain/prune/criterion.hpp"
#include "pruntrain/prune/granularity.hpp"
#include "pruntrain/prune/regrowth.hpp"
#include "pruntrain/prune/schedule.hpp"
#include "pruntrain/prune/scored.hpp"

namespace pruntrain {

/// The number of weights that a sparsity removes: floor(sparsity * weights), where a product that is whole but for the
/// rounding of the decimal fraction counts as whole.
index_t removed_count(double sparsity, index_t weights);

class Pruner {
   public:
    /// @param section  the `prune` section
    /// @param length  of a training
    /// @throws InputError if the floors or the allocation do not allow the final sparsity
    Pruner(const Config& section, std::uint64_t seed, const RunLength& length, const Network& network);

    bool event_at(index_t step) const { return schedule_->event_at(step); }
    /// What `prune` wants to find in the arena's gradients at an event; null: nothing.
    const ScoreInput* score_input(index_t step) const { return gives_back(step) ? nullptr : criterion_->score_input(); }
    const Criterion& criterion() const { return *criterion_; }
    const Granularity& granularity() const { return *granularity_; }
    /// An event is so many calls of `prune`.
    index_t rounds() const { return schedule_->rounds(); }
    double final_sparsity() const { return final_sparsity_; }
    /// The step from which the final sparsity is reached.
    index_t end_step() const { return schedule_->end_step(); }
    Rewinding rewinding() const { return schedule_->rewinding(); }
    /// What scores above the schedule's threshold stays, so the final sparsity may be less.
    bool has_threshold() const { return schedule_->threshold().has_value(); }
    /// After an event, units and channels that have lost their weights are removed from the network.
    bool reconfigures() const { return reconfigures_; }
    /// What needs the places of all units and channels, so that none may be removed from the network; empty: nothing.
    std::string needs_all_units() const;
    /// Weights that go and come back between the events; null: none do.
    const Regrowth* regrowth() const { return regrowth_.get(); }
    /// There may be hidden weights (SoftPrunedWeights), so the slot that marks them.
    bool soft_prunes() const { return straight_through_ || (regrowth_ && regrowth_->soft_prunes()); }
    /// What is added to the decay of hidden weights.
    double hidden_decay() const { return hidden_decay_; }
    std::string describe() const;

    /// Removes weights of the model down to the count for a round of the event at `step`, alike on all replicas; or
    /// gives all back, as 0, if the schedule says so.
    /// Exactly that count over all shards, under the total order (score, then number), or as many as are above the
    /// schedule's threshold if these are more; no layer falls below its floor.
    /// With straight_through only the last round of the last event removes weights; all others mark them as hidden,
    /// anew. Collective. @return the hash of the pruned model, after a check that all ranks have the same; nothing if
    /// there was nothing to do. @throws std::runtime_error naming the ranks that differ
    /// @param round  from 1 to `rounds()`; 0: the last
    /// @param compensation  null, or what moves the weights that remain
    std::optional<ModelHash> prune(index_t step, Network& network, const Grid& grid, index_t round = 0,
                                   Compensation* compensation = nullptr) const;

    /// Removes weights of one prunable layer alone, by criterion and granularity, down to `keep` or, in groups, to as
    /// many whole groups as fit, one at least. Collective over the grid. Not for runs (N:M).
    /// @param keep  from 1 to the weights that it has
    void prune_layer(const Parameter& weight, index_t keep, Arena& arena, const Grid& grid) const;

   private:
    void check_hiding(const Config& section) const;
    /// The event chooses no weights: all come back.
    bool gives_back(index_t step) const { return schedule_->gives_back() && schedule_->sparsity_at(step) == 0; }
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
};

}  // namespace pruntrain
