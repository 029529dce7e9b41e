// How a global batch is cut, who computes what of it, and in which order the results are added.
#pragma once

#include <span>
#include <vector>

#include "pruntrain/base/range.hpp"
#include "pruntrain/base/sum_tree.hpp"
#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// A global batch is cut in slices, each computed by itself. *Fast*: one slice for each rank, added in the order that
/// is fastest. *Ordered*: a fixed number of slices, shared out over the ranks; results are added in one binary tree
/// over the slices. Then they are the same bits for any number of ranks, as long as the slices are computed by the same
/// kernels in the same shapes.
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

    /// Sums of doubles under way.
    struct Sum {
        std::vector<double> rows;  ///< of the slices of all ranks, or their sum
        Pending pending;
    };
    /// @param rows  (own slices, numbers); all ranks the same numbers. Collective.
    Sum start_sum(std::span<const double> rows) const;
    /// @param totals  set: (numbers), the same bits on all ranks
    void finish(Sum sum, std::span<double> totals) const;

   private:
    Communicator ranks_;
    bool ordered_;
    index_t count_;
    Block own_;
    index_t most_;  ///< slices of any rank
    Reduction tree_;
};

}  // namespace pruntrain
