// Sums the gradients of all replicas while backward is still running.
#pragma once

#include <span>
#include <vector>

#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// The arena's gradients, in the order in which backward finishes them, are cut in buckets; a bucket's sum starts as
/// soon as all of it is finished. Buckets are ranges of the arena: nothing is copied, and a pruned weight costs
/// nothing.
class GradientReducer {
   public:
    explicit GradientReducer(const Communicator& replicas) : replicas_(replicas) {}

    /// A new step. `gradients` must stay in place until `finish`.
    void begin(std::span<real> gradients);
    /// The first `finished` gradients are complete. Starts sums; also lets those under way make progress.
    void ready(index_t finished);
    /// Waits for all sums; then every rank has the same sums.
    void finish();

    /// Numbers that one step sums over the ranks.
    index_t values_reduced() const { return static_cast<index_t>(gradients_.size()); }

   private:
    /// 1 MiB of floats: large enough for full bandwidth, small enough to start early (measured with Open MPI 4.1).
    static constexpr index_t bucket_values = index_t{1} << 18;

    Communicator replicas_;
    std::span<real> gradients_;
    index_t started_ = 0;
    std::vector<Pending> pending_;
};

}  // namespace pruntrain
