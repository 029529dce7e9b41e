// Prune events: criterion x allocation x schedule, applied to a network.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/nn/model_hash.hpp"
#include "pruntrain/nn/network.hpp"
#include "pruntrain/prune/allocation.hpp"
#include "pruntrain/prune/criterion.hpp"
#include "pruntrain/prune/schedule.hpp"

namespace pruntrain {

/// The number of weights that a sparsity removes: floor(sparsity * weights), where a product that is whole but for the
/// rounding of the decimal fraction counts as whole.
index_t removed_count(double sparsity, index_t weights);

/// Weights that may be pruned, and how many of them are left.
struct PrunableCount {
    index_t size = 0;
    index_t kept = 0;
    double sparsity() const { return size == 0 ? 0 : static_cast<double>(size - kept) / static_cast<double>(size); }
};
PrunableCount count_prunable(const Network& network);

class Pruner {
   public:
    /// @param section  the `prune` section
    /// @throws InputError if the floors or the allocation do not allow the final sparsity
    Pruner(const Config& section, std::uint64_t seed, const RunLength& length, const Network& network);

    bool event_at(index_t step) const { return schedule_->event_at(step); }
    /// The weights that are kept from `step` on.
    index_t keep_at(index_t step) const;
    double final_sparsity() const { return final_sparsity_; }
    /// The step from which the final sparsity is reached.
    index_t end_step() const { return schedule_->end_step(); }
    std::string describe() const;

    /// Removes weights of `network` down to the count for `step`, alike on all ranks, which hold equal copies. Exactly
    /// that count, under the total order (score, then number); no layer falls below its floor.
    /// Collective. @return the hash of the pruned model, after a check that all ranks have the same; nothing if there
    /// was nothing to remove. @throws std::runtime_error naming the ranks that differ
    std::optional<ModelHash> prune(index_t step, Network& network, const Communicator& replicas) const;

   private:
    std::vector<PrunableLayer> prunable_layers(const Network& network, index_t keep) const;

    double final_sparsity_;
    double layer_floor_;
    index_t prunable_ = 0;  ///< weights before any pruning
    std::unique_ptr<Criterion> criterion_;
    std::unique_ptr<Allocation> allocation_;
    std::unique_ptr<PruneSchedule> schedule_;
};

/// @throws std::runtime_error naming the ranks whose model differs from the root's. Collective.
void check_equal_models(const ModelHash& hash, index_t step, const Communicator& replicas);

}  // namespace pruntrain
