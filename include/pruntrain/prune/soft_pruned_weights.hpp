// Soft-pruned weights: they are trained, but the network does not use them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/model/arena.hpp"

namespace pruntrain {

/// The slot of the arena that marks them: 0 in use, 1 soft-pruned, 2 soft-pruned and frozen. So the marks survive a
/// restart and move with their weights.
inline const std::string soft_pruned_slot = "hidden";

/// The straight-through estimator (Bengio et al. 2013): forward and backward use 0 in the place of a soft-pruned
/// weight, and its gradient is that at 0, but the update applies to the weight. So it may return with a trained value.
/// A frozen one keeps its value, with an optimizer state of 0.
class SoftPrunedWeights {
   public:
    /// @param marks    of the whole arena
    /// @param version  of the arena
    void load_marks(std::span<const real> marks, std::uint64_t version);
    /// The marks are those of the arena at this version.
    bool is_current(std::uint64_t version) const { return version_ == version; }
    bool any() const { return any_; }

    /// Sets soft-pruned weights to 0, permanently.
    void remove(Arena& arena) const;
    /// Adds strength x weight to the gradients of soft-pruned weights.
    void decay(Arena& arena, real strength) const;
    /// Before and after an update: frozen weights have gradients of 0 in it and keep their values.
    void save_frozen(Arena& arena);
    /// @param slots  the optimizer's
    void restore_frozen(Arena& arena, const std::vector<std::string>& slots) const;

    /// During its lifetime the arena's values are those that the network uses. A nested one changes nothing.
    /// Loads the marks of the arena's slot, if there is one and they are not current: collective over the replicas.
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
    std::uint64_t version_ = 0;  ///< of the arena whose marks these are; 0: none
    bool any_ = false, hiding_ = false;
    std::vector<real> used_;            ///< of each weight of the arena 0 if it is soft-pruned, else 1
    std::vector<real> values_;          ///< of all weights, during a MaskScope
    std::vector<std::size_t> waiting_;  ///< indices of frozen weights in the arena
    std::vector<real> held_;            ///< their values
};

/// Marks, of each parameter of the arena, the packed positions whose flag is 0 as soft-pruned; an empty list marks
/// none. Local.
/// @param trained  flags likewise: the soft-pruned ones that are not frozen; empty: all
void mark_soft_pruned(Arena& arena, const std::vector<std::vector<std::uint8_t>>& used,
                      const std::vector<std::vector<std::uint8_t>>& trained = {});
/// The soft-pruned weights of each parameter of the arena over all shards. Collective over the grid.
std::vector<index_t> count_soft_pruned(Arena& arena, const Grid& grid);

}  // namespace pruntrain
