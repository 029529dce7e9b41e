// Sums the gradients of all replicas while backward is still running.
#pragma once

#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/comm/shared_sum.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/parallel/slices.hpp"

namespace pruntrain {

/// The arena's gradients, in the order in which backward finishes them, are cut in buckets; a bucket's sum starts as
/// soon as all of it is finished. Buckets are ranges of the arena, which lies in memory that the ranks of a node share:
/// nothing is copied, and a pruned weight costs nothing.
class GradientReducer {
   public:
    /// 1 MiB of floats: large enough that synchronising costs little, small enough to start early.
    static constexpr index_t bucket_values = index_t{1} << 18;

    /// Collective over `replicas`. Must outlive the use of the gradients of an arena that it was given.
    /// @param message  how the sums of a node go to the other nodes
    explicit GradientReducer(const Communicator& replicas, SharedSum::Message message = SharedSum::Message::exact)
        : replicas_(replicas), sum_(replicas, replicas.node(), message) {}
    /// The sums are in the order of the tree over all slices: the slices of a rank give a term for each of its nodes.
    GradientReducer(const Communicator& replicas, const Slices& slices);

    /// A new step. The first one puts the gradients in shared memory, as zeros; the first one after a prune event puts
    /// them in less of it if a quarter or more would lie idle. Collective.
    /// @param to_owners  each rank gets the sums of the weights only that it has optimizer slots for
    void begin(Arena& arena, bool to_owners = false);
    /// Where backward puts the gradients, for a tree: valid until the next `begin`.
    std::vector<NetworkStep::Term> terms(Arena& arena) const;
    /// The first `finished` gradients are complete. Starts sums; also does what can be done of those under way.
    void ready(index_t finished);
    /// Waits for all sums; then every rank has the same, or its own.
    void finish();

    /// The next step depends on no rounding of earlier ones, as after a change of the arena's version.
    void reset_residual() { sum_.reset_residual(); }

    /// Numbers that one step sums over the ranks.
    index_t values_reduced() const { return size_; }

    /// Shared memory that this rank's gradients take; 0 on one rank.
    std::size_t shared_bytes() const { return sum_.values().size_bytes(); }

    // Of all steps so far.
    double exposed_s() const { return exposed_s_; }         ///< spent in sums and in waiting for other ranks
    index_t bytes_summed() const { return bytes_summed_; }  ///< of this rank's gradients; 0 on one rank

   private:
    Communicator replicas_;
    std::vector<TreeNode> nodes_;  ///< of a tree; none: no tree
    SharedSum sum_;
    std::uint64_t version_ = 0;  ///< of the arena whose rounding errors are carried over
    index_t size_ = 0;
    index_t started_ = 0;
    double exposed_s_ = 0;
    index_t bytes_summed_ = 0;
};

}  // namespace pruntrain
