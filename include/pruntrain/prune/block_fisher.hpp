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
    index_t size = 1;     ///< maximum weights of a block
    double damping = 0;   ///< on the diagonal, above 0
    bool update = false;  ///< an event updates the remaining weights
};

/// F = (1/N) sum_n g_n g_n^T + damping I over the prunable weights, with the gradients g_n of N micro-batches. F is
/// block-diagonal: a block has so many consecutive remaining weights of a tensor of this shard. Its inverse is computed
/// by N rank-one updates, F^-1 -= (F^-1 g)(F^-1 g)^T / (N + g^T F^-1 g) (Singh & Alistarh 2020, "WoodFisher").
///
/// Blocks are partitioned over the replicas, and each replica has all gradients of its blocks: N x weights / replicas
/// elements. An inverse is held in scratch memory, in double precision, only while its block is processed. Gradients
/// are moved, not summed. So results are bit-identical for any number of replicas if the gradients are.
class BlockFisher final : public Compensation {
   public:
    /// @param gradients  N
    /// @param replicas   ranks with equal weights and patterns, over which blocks and micro-batches are partitioned
    BlockFisher(const Arena& arena, const FisherBlocks& settings, index_t gradients, const Communicator& replicas);

    /// Adds one gradient of each replica, in rank order, until there are N: the last call uses those of the first
    /// replicas only. Collective over the replicas.
    /// @param gradient  of the arena's size
    void add(std::span<const real> gradient);

    /// 1 / [F^-1]_qq of every weight q: the curvature of the loss along q if the other weights of its block follow
    /// optimally. Collective over the replicas; call it once there are N gradients.
    /// @param curvatures  set: of the arena's size; 0 for weights that are not prunable
    void find_curvatures(std::span<real> curvatures);

    /// Updates the remaining weights so that the removals increase the loss least, to second order (Hassibi & Stork
    /// 1993, "Optimal brain surgeon"). For one weight q after the other, w -= w_q F^-1 e_q / [F^-1]_qq, and q is
    /// eliminated from F^-1. The result is optimal for the whole block (Frantar & Alistarh 2022, lemma 1). Collective
    /// over the replicas; the patterns must still be those of the gradients.
    /// @param keep  for each parameter one flag per packed position, or empty to keep all
    void compensate(Arena& arena, const std::vector<std::vector<std::uint8_t>>& keep) override;

   private:
    struct Place {
        std::size_t parameter;  ///< of the arena
        index_t first;          ///< index of its first packed element
        index_t size;
        std::size_t begin;  ///< in the arena
    };
    /// Sets inverse_ to that of a block of this rank.
    void invert(const Place& block);
    /// The first element of the arena for which this rank has gradients.
    std::size_t own_begin() const { return offsets_[replicas_.rank()]; }
    std::size_t own_size() const { return sizes_[replicas_.rank()]; }

    FisherBlocks settings_;
    index_t count_;      ///< N
    index_t added_ = 0;  ///< number of gradients so far, of all replicas
    Communicator replicas_;
    std::vector<Place> blocks_;                 ///< of this rank
    std::vector<std::size_t> offsets_, sizes_;  ///< of each replica's part of the arena
    AlignedVector<real> gradients_;             ///< (N, own size)
    std::vector<double> inverse_;               ///< (size, size), symmetric
    std::vector<double> product_;               ///< F^-1 g, or a row of F^-1
};

}  // namespace pruntrain
