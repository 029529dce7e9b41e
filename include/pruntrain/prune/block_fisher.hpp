// Curvature of the loss from gradients: the inverse of a block-diagonal Fisher matrix.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/model/arena.hpp"
#include "pruntrain/prune/score_input.hpp"

namespace pruntrain {

struct FisherBlocks {
    index_t size = 1;     ///< weights of a block at most
    double damping = 0;   ///< on the diagonal, above 0
    bool update = false;  ///< an event moves the remaining weights
};

/// F = (1/N) sum_n g_n g_n^T + damping I over the prunable weights, g_n the gradients of N micro-batches, as far as
/// both weights of an entry are in one block: so many consecutive remaining weights of a tensor of this shard. Its
/// inverse is found by N updates of rank one, F^-1 -= (F^-1 g)(F^-1 g)^T / (N + g^T F^-1 g) (Singh & Alistarh 2020,
/// "WoodFisher").
///
/// Blocks are distributed over the replicas, and each replica has all gradients of its blocks: N x weights / replicas
/// values. An inverse is in scratch memory, in double precision, only while its block is worked on. Gradients are
/// moved, not summed, so the results have the same bits on any number of replicas if the gradients have.
class BlockFisher final : public Compensation {
   public:
    /// @param gradients  N
    /// @param replicas   ranks with equal weights and patterns, over which blocks and micro-batches are distributed
    BlockFisher(const Arena& arena, const FisherBlocks& settings, index_t gradients, const Communicator& replicas);

    /// A gradient of each replica, in the order of their ranks, until there are N: the last call takes those of the
    /// first replicas only. Collective over the replicas.
    /// @param gradient  of the arena's size
    void add(std::span<const real> gradient);

    /// 1 / [F^-1]_qq of every weight q: the curvature of the loss along q where the other weights of its block follow
    /// as is best for it. Collective over the replicas; call when there are N gradients.
    /// @param curvatures  set: of the arena's size; 0 for weights that are not prunable
    void find_curvatures(std::span<real> curvatures);

    /// Moves the remaining weights so that the loss, to second order, rises least by the removal (Hassibi & Stork 1993,
    /// "Optimal brain surgeon"): w -= w_q F^-1 e_q / [F^-1]_qq for one weight q after the other, each of which is taken
    /// out of F^-1 then; so that it is the best for all of a block together (Frantar & Alistarh 2022, lemma 1).
    /// Collective over the replicas, the patterns still those of the gradients.
    /// @param keep  for each parameter one flag for each packed position, or empty to keep all
    void compensate(Arena& arena, const std::vector<std::vector<std::uint8_t>>& keep) override;

   private:
    struct Place {
        std::size_t parameter;  ///< of the arena
        index_t first;          ///< of its packed elements
        index_t size;
        std::size_t begin;  ///< in the arena
    };
    /// Sets inverse_ to that of a block of this rank.
    void invert(const Place& block);
    /// Of the arena, what this rank has gradients of.
    std::size_t own_begin() const { return offsets_[static_cast<std::size_t>(replicas_.rank())]; }
    std::size_t own_size() const { return sizes_[static_cast<std::size_t>(replicas_.rank())]; }

    FisherBlocks settings_;
    index_t count_;      ///< N
    index_t added_ = 0;  ///< gradients, of all replicas
    Communicator replicas_;
    std::vector<Place> blocks_;                 ///< of this rank
    std::vector<std::size_t> offsets_, sizes_;  ///< of each replica's part of the arena
    AlignedVector<real> gradients_;             ///< (N, own size)
    std::vector<double> inverse_;               ///< (size, size), symmetric
    std::vector<double> product_;               ///< F^-1 g, or a row of F^-1
};

}  // namespace pruntrain
