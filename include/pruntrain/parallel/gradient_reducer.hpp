// Sums the gradients of all replicas, overlapped with backward.
#pragma once

#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/comm/shared_sum.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/parallel/slices.hpp"

namespace pruntrain {

/// The arena's gradients, in the order in which backward finishes them, are divided into buckets. The sum of a bucket
/// starts as soon as the bucket is finished. Buckets are ranges of the arena, which is in memory shared by the ranks of
/// a node. So nothing is copied, and pruned weights cost nothing.
class GradientReducer {
   public:
    /// 1 MiB of floats: large enough to make synchronization cheap, small enough to start early.
    static constexpr index_t bucket_values = index_t{1} << 18;

    /// Collective over `replicas`. Must outlive the use of the gradients of an arena that it was given.
    /// @param message  number format between nodes
    explicit GradientReducer(const Communicator& replicas, SharedSum::Message message = SharedSum::Message::exact)
        : replicas_(replicas), sum_(replicas, replicas.node(), message) {}
    /// Sums in the order of the tree over all slices: each rank contributes one term per tree node that it holds.
    GradientReducer(const Communicator& replicas, const Slices& slices);

    /// Starts a new step. The first step allocates the gradients in shared memory, zeroed. The first step after a prune
    /// event reallocates them if a quarter or more of the memory is unused. Collective.
    /// @param to_owners  each rank receives only the sums of weights for which it has optimizer state
    void begin(Arena& arena, bool to_owners = false);
    /// Where backward writes the gradients, for a tree: valid until the next `begin`.
    std::vector<NetworkStep::Term> terms(Arena& arena) const;
    /// The first `finished` gradients are complete. Starts their sums, and advances sums in progress.
    void ready(index_t finished);
    /// Waits for all sums. Then every rank has all of them, or only its own.
    void finish();

    /// Resets the residual, as after a change of the arena's version: the next step does not depend on earlier ones.
    void reset_residual() { sum_.reset_residual(); }

    /// Number of values that one step sums over the ranks.
    index_t values_reduced() const { return size_; }

    /// Shared memory of this rank's gradients; 0 on a single rank.
    std::size_t shared_bytes() const { return sum_.values().size_bytes(); }

    /// Of this rank's gradients in all steps so far; 0 on one rank.
    index_t bytes_summed() const { return bytes_summed_; }

   private:
    Communicator replicas_;
    std::vector<TreeNode> nodes_;  ///< of a tree; empty: no tree
    SharedSum sum_;
    std::uint64_t version_ = 0;  ///< of the arena whose residual is carried over
    index_t size_ = 0;
    index_t started_ = 0;
    index_t bytes_summed_ = 0;
};

}  // namespace pruntrain
