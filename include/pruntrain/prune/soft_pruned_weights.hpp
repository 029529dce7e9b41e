// Soft-pruned weights: trained, but masked in the network.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/model/arena.hpp"

namespace pruntrain {

/// The arena array that marks them: 0 in use, 1 soft-pruned, 2 soft-pruned and frozen. It keeps the marks across a
/// restart and across moves of rows.
inline const std::string soft_pruned_slot = "hidden";

/// The straight-through estimator (Bengio et al. 2013). Forward and backward use 0 for a soft-pruned weight, and its
/// gradient is that at 0, but the update applies to the weight. So it may come back with its learned value. A frozen
/// weight is not updated; its optimizer state is 0.
class SoftPrunedWeights {
   public:
    /// @param marks    of the whole arena
    /// @param version  of the arena
    void load_marks(std::span<const real> marks, std::uint64_t version);
    /// True if the marks are those of the arena at this version.
    bool is_current(std::uint64_t version) const { return version_ == version; }
    bool any() const { return any_; }

    /// Sets soft-pruned weights to 0 permanently.
    void remove(Arena& arena) const;
    /// Adds strength x weight to the gradients of soft-pruned weights.
    void decay(Arena& arena, real strength) const;
    /// Before and after an update: frozen weights get gradients of 0, and are restored.
    void save_frozen(Arena& arena);
    /// @param slots  names of the optimizer's arrays
    void restore_frozen(Arena& arena, const std::vector<std::string>& slots) const;

    /// As long as it lives, soft-pruned weights are masked in the arena's values. A nested scope changes nothing. Loads
    /// the marks from the arena if they are not current: collective over the replicas.
    class MaskScope {
       public:
        MaskScope(SoftPrunedWeights& weights, Arena& arena, const Communicator& replicas);
        ~MaskScope();
        MaskScope(const MaskScope&) = delete;
        MaskScope& operator=(const MaskScope&) = delete;

       private:
        SoftPrunedWeights* weights_ = nullptr;  ///< null: there is nothing to restore
        Arena& arena_;
    };

   private:
    std::uint64_t version_ = 0;  ///< of the arena with these marks; 0: none
    bool any_ = false, hiding_ = false;
    std::vector<real> used_;            ///< for each weight of the arena 0 if it is soft-pruned, else 1
    std::vector<real> values_;          ///< saved while they are masked
    std::vector<std::size_t> waiting_;  ///< positions of frozen weights in the arena
    std::vector<real> held_;            ///< values of frozen weights
};

/// Marks, for each parameter of the arena, the packed positions whose flag is 0 as soft-pruned; an empty list marks
/// none. Local.
/// @param trained  flags likewise: of the soft-pruned weights, those that are not frozen; empty: all
void mark_soft_pruned(Arena& arena, const std::vector<std::vector<std::uint8_t>>& used,
                      const std::vector<std::vector<std::uint8_t>>& trained = {});
/// The number of soft-pruned weights of each parameter of the arena over all shards. Collective over the grid.
std::vector<index_t> count_soft_pruned(Arena& arena, const Grid& grid);

}  // namespace pruntrain
