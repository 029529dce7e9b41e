// How a global batch is divided into slices, which rank computes them, and in which order their results are added.
#pragma once

#include <span>
#include <vector>

#include "pruntrain/base/range.hpp"
#include "pruntrain/base/sum_tree.hpp"
#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// A global batch is divided into slices, each computed independently. *Fast*: one slice per rank, added in the fastest
/// order. *Ordered*: a fixed number of slices, partitioned over the ranks. Results are added in one binary tree over
/// the slices. Then they are bit-identical for any number of ranks, if the slices are computed by the same kernels in
/// the same shapes.
class Slices {
   public:
    /// Fast.
    explicit Slices(const Communicator& ranks);
    /// Ordered.
    /// @throws InputError if there are fewer slices than ranks
    Slices(const Communicator& ranks, index_t count);

    /// @throws InputError if there are fewer slices than ranks
    static void check(index_t count, index_t ranks);

    bool ordered() const { return ordered_; }
    index_t count() const { return count_; }
    Block own() const { return own_; }  ///< slices of this rank, at least one

    /// Sums of doubles in progress.
    struct Sum {
        std::vector<double> rows;  ///< of the slices of all ranks, or their sum
        Pending pending;
    };
    /// @param rows  (own slices, values); the same number of values on all ranks. Collective.
    Sum start_sum(std::span<const double> rows) const;
    /// @param totals  set: (values), bit-identical on all ranks
    void finish(Sum sum, std::span<double> totals) const;

   private:
    Communicator ranks_;
    bool ordered_;
    index_t count_;
    Block own_;
    index_t most_;  ///< maximum slices of a rank
    Reduction tree_;
};

}  // namespace pruntrain
