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
/// With `Message::bf16` the numbers go from node to node rounded to half their size: each node sends every other a
/// piece of its sum, which that one adds up in full precision, and the pieces of the total come back. What either
/// rounding takes away is added to the same range in the next step, so that nothing is lost for good (error feedback on
/// both ways: Tang et al. 2021, "1-bit Adam", section 4).
///
/// The order of the additions depends on the numbers of ranks and the range alone: all ranks get the same bits, in
/// every run.
class SharedSum {
   public:
    enum class Message { exact, bf16 };  ///< of a node to the others

    /// Collective over `ranks`. `node`: those of them that share memory with this one, `ranks.node()` or a part of it.
    SharedSum(const Communicator& ranks, const Communicator& node, Message message = Message::exact);

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

    /// The values get another meaning, or a step must depend on no earlier one: what rounding took away is dropped.
    void forget_rounding() { crossings_.clear(); }

   private:
    struct Range {
        index_t begin = 0, end = 0;
    };
    /// How many ranges a rank has started and finished since `allocate`: lines of the window that it alone writes.
    struct Counters {
        std::uint64_t* started = nullptr;
        std::uint64_t* finished = nullptr;
    };

    /// A slice on its way over the nodes.
    struct Crossing {
        Pending pending;
        bool gathering = false;                ///< bf16: the pieces of the total are on their way back
        std::vector<Bfloat16> sent, received;  ///< bf16: a piece for each node, of equal size
        std::vector<real> lost;                ///< by rounding `sent`, in the step before
        std::vector<real> lost_total;          ///< by rounding this node's piece of the total
    };

    Range own_slice(const Range& range) const;
    /// Into the arrays of the node's first and last rank, where this is the only node into all.
    void sum_on_node(const Range& slice);
    /// From the array of the node's rank 0 to those of its ranks 1 .. end-1.
    void spread(const Range& range, std::size_t end);
    /// Starts the sum over the nodes.
    void cross(const Range& slice, Crossing& crossing);
    /// Does what can be done now. @return the sum over the nodes is there, and in the node's arrays
    bool crossed(const Range& slice, Crossing& crossing);
    bool all_reached(std::uint64_t* Counters::*counter, std::uint64_t number) const;

    Message message_;
    Communicator ranks_;
    Communicator node_;    ///< of this rank alone if the nodes are of different sizes
    Communicator across_;  ///< the owners of the same slices, one of each node
    Communicator back_;    ///< the same: on one alone all would have to start both ways in one order
    SharedWindow window_;
    std::vector<Counters> counters_;  ///< of the node's ranks
    std::vector<real*> arrays_;       ///< of the node's ranks
    std::span<real> values_;

    std::uint64_t before_ = 0;         ///< ranges finished by earlier calls of `finish`
    std::vector<Range> ranges_;        ///< started since then
    std::vector<Crossing> crossings_;  ///< own slices of ranges, by their number; kept from step to step
    std::size_t on_the_way_ = 0;       ///< how many of them are summed on the node
    std::size_t finished_ = 0;         ///< how many of them have this rank's slice in all arrays
};

}  // namespace pruntrain
