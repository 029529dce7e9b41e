// Sums over ranks in memory that the ranks of a node share: nothing is sent, nothing is packed, nothing is copied
// first.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// An array on every rank; ranges of it are summed over all ranks, in place and without blocking.
///
/// The arrays of a node lie in one shared window. A range is cut on cache-line boundaries in one slice for each rank of
/// the node. When all of them have started the range, the owner of a slice adds it up in the order of the node's ranks
/// and writes the sum to all of them. Nobody else touches that slice, so there is no second buffer. Of several nodes,
/// the owners of the same slice sum over their nodes by MPI in between. Nodes of different numbers of ranks have
/// different slices: then everything is summed by MPI.
///
/// The order of the additions depends on the numbers of ranks and the range alone: all ranks get the same bits, in
/// every run.
class SharedSum {
   public:
    /// Collective over `ranks`. `node`: those of them that share memory with this one, `ranks.node()` or a part of it.
    SharedSum(const Communicator& ranks, const Communicator& node);

    /// Gives every rank an array of this size, not yet touched, and ends the earlier one. Collective; no sum may be
    /// under way.
    std::span<real> allocate(index_t size);
    std::span<real> values() const { return values_; }

    /// This rank's numbers of [begin, end) are there; it must not touch them until `finish`. All ranks must start the
    /// same ranges in the same order; until `finish` they must not overlap.
    void start(index_t begin, index_t end);
    /// Does what can be done now of the sums that were started. @return they are all finished
    bool progress();
    /// Waits until all sums that were started are finished.
    void finish();

   private:
    struct Range {
        index_t begin = 0, end = 0;
    };
    /// How many ranges a rank has started and finished since `allocate`: lines of the window that it alone writes.
    struct Counters {
        std::uint64_t* started = nullptr;
        std::uint64_t* finished = nullptr;
    };

    Range own_slice(const Range& range) const;
    /// Into the arrays of the node's first and last rank, where this is the only node into all.
    void sum_on_node(const Range& slice);
    /// From the array of the node's rank 0 to those of its ranks 1 .. end-1.
    void spread(const Range& range, std::size_t end);
    bool all_reached(std::uint64_t* Counters::*counter, std::uint64_t number) const;

    Communicator ranks_;
    Communicator node_;    ///< of this rank alone if the nodes are of different sizes
    Communicator across_;  ///< the owners of the same slices, one of each node
    SharedWindow window_;
    std::vector<Counters> counters_;  ///< of the node's ranks
    std::vector<real*> arrays_;       ///< of the node's ranks
    std::span<real> values_;

    std::uint64_t before_ = 0;       ///< ranges finished by earlier calls of `finish`
    std::vector<Range> ranges_;      ///< started since then
    std::vector<Pending> crossing_;  ///< own slices of the first of them, summed on the node: under way over the nodes
    std::size_t finished_ = 0;       ///< how many of them have this rank's slice in all arrays
};

}  // namespace pruntrain
