// Weights that are trained but that the network does not use.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/model/arena.hpp"

namespace pruntrain {

/// The slot of the arena that marks them: 0 in use, 1 hidden, 2 hidden and waiting. So they are known after a restart,
/// wherever rows move.
inline const std::string soft_pruned_slot = "hidden";

/// The straight-through estimator (Bengio et al. 2013): forward and backward see 0 in the place of a hidden weight, and
/// its gradient is that at 0, but what is updated is the weight. So it may come back with what it has learned. One that
/// waits stays as it is instead, with optimizer slots of 0.
class SoftPrunedWeights {
   public:
    /// @param marks    of the whole arena
    /// @param version  of the arena
    void load_marks(std::span<const real> marks, std::uint64_t version);
    /// The marks are those of the arena at this version.
    bool is_current(std::uint64_t version) const { return version_ == version; }
    bool any() const { return any_; }

    /// Sets hidden weights to 0, for good.
    void remove(Arena& arena) const;
    /// Adds strength x weight to the gradients of hidden weights.
    void decay(Arena& arena, real strength) const;
    /// Around an update: it is one with gradients of 0 for weights that wait, and does not change them.
    void save_frozen(Arena& arena);
    /// @param slots  the optimizer's
    void restore_frozen(Arena& arena, const std::vector<std::string>& slots) const;

    /// While it lives, the arena's values are those that the network uses. One within another changes nothing.
    /// Takes the marks of the arena's slot, if there is one, where they are not current: collective over the replicas.
    class MaskScope {
       public:
        MaskScope(SoftPrunedWeights& weights, Arena& arena, const Communicator& replicas);
        ~MaskScope();
        MaskScope(const MaskScope&) = delete;
        MaskScope& operator=(const MaskScope&) = delete;

       private:
        SoftPrunedWeights* weights_ = nullptr;  ///< null: there is nothing to show again
        Arena& arena_;
    };

   private:
    std::uint64_t version_ = 0;  ///< of the arena whose marks these are; 0: none
    bool any_ = false, hiding_ = false;
    std::vector<real> used_;            ///< of each weight of the arena 0 if it is hidden, else 1
    std::vector<real> values_;          ///< while they are hidden
    std::vector<std::size_t> waiting_;  ///< their places in the arena
    std::vector<real> held_;            ///< and their values
};

/// Marks, of each parameter of the arena, the packed positions whose flag is 0 as hidden; an empty list marks none.
/// Local.
/// @param trained  flags likewise: of the hidden ones those that do not wait; empty: all
void mark_soft_pruned(Arena& arena, const std::vector<std::vector<std::uint8_t>>& used,
                      const std::vector<std::vector<std::uint8_t>>& trained = {});
/// The hidden weights of each parameter of the arena over all shards. Collective over the grid.
std::vector<index_t> count_soft_pruned(Arena& arena, const Grid& grid);

}  // namespace pruntrain
