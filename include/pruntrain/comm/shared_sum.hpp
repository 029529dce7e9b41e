// Sums over ranks in memory that the ranks of a node share: nothing is sent, nothing is packed, nothing is copied
// first.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pruntrain/base/sum_tree.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// An array on every rank; ranges of it are summed over all ranks, in place and without blocking.
///
/// The arrays of a node lie in one shared window. A range is cut on cache-line boundaries in one share for each rank of
/// the node. When all of them have started the range, the owner of a share adds it up and writes the sum to all of
/// them. Nobody else touches that share, so there is no second buffer. Of several nodes, the owners of the same share
/// sum over their nodes by MPI in between. Nodes of different numbers of ranks have different shares: then everything
/// is summed by MPI.
///
/// `Message::exact` adds in an order that depends on the numbers of ranks and the range alone: all ranks get the same
/// bits, in every run. With `Message::bf16` the numbers go from node to node rounded to half their size: each node
/// sends every other a piece of its sum, which that one adds up in full precision, and the pieces of the total come
/// back. What either rounding takes away is added to the same range in the next step, so that nothing is lost for good
/// (error feedback on both ways: Tang et al. 2021, "1-bit Adam", section 4).
///
/// `SliceTerms` instead make the order that of a tree over slices of a batch: the same bits for any number of ranks
/// that share out the slices. A rank may then have several arrays, its terms: one for each node of the tree that it
/// holds.
// Large because it holds the state of one nonblocking algorithm: buckets, the node's windows, messages between nodes.
class SharedSum {
   public:
    enum class Message { exact, bf16 };  ///< of a node to the others

    /// What a rank contributes in the order of a tree.
    struct SliceTerms {
        index_t slices;               ///< of the whole tree
        std::vector<TreeNode> nodes;  ///< of this rank, at least one
    };

    /// Collective over `ranks`. `node`: those of them that share memory with this one, `ranks.node()` or a part of it.
    SharedSum(const Communicator& ranks, const Communicator& node, Message message = Message::exact);
    /// The sum in the order of the tree.
    SharedSum(const Communicator& ranks, const Communicator& node, const SliceTerms& terms);

    /// Gives every rank arrays of this size, not yet touched, and ends the earlier ones. Collective; no sum may be
    /// under way.
    /// @return the first, which gets the sums
    std::span<real> allocate(index_t size);
    std::span<real> values() const { return values_; }
    /// An array of this rank: the first is `values`, further ones hold nothing of use after a sum.
    std::span<real> term(std::size_t number) const;

    /// From now on rank r of all needs the sums of the numbers from firsts[r] up to firsts[r + 1] only, and gets no
    /// others: between nodes half of the bytes are sent. Empty: every rank gets all. No sum may be under way; what
    /// rounding took away is dropped if this changes.
    void share_out(std::vector<index_t> firsts);

    /// This rank's numbers of [begin, end) are there; it must not touch them until `finish`. All ranks must start the
    /// same ranges in the same order; until `finish` they must not overlap.
    void start(index_t begin, index_t end);
    /// Does what can be done now of the sums that were started. @return they are all finished
    bool progress();
    /// Waits until all sums that were started are finished.
    void finish();

    /// The values get another meaning, or a step must depend on no earlier one: what rounding took away is dropped.
    void reset_residual() { crossings_.clear(); }

   private:
    struct Range {
        index_t begin = 0, end = 0;
    };
    /// How many ranges a rank has started and finished since `allocate`: lines of the window that it alone writes.
    struct Counters {
        std::uint64_t* started = nullptr;
        std::uint64_t* finished = nullptr;
    };

    /// A share on its way over the nodes: by a sum of MPI, or in pieces, one for each node, of each of its terms.
    struct Crossing {
        Pending pending;
        bool gathering = false;                ///< the pieces of the total are on their way back
        std::vector<Bfloat16> sent, received;  ///< bf16
        std::vector<real> lost;                ///< bf16: by rounding `sent`, in the step before
        std::vector<real> lost_total;          ///< bf16: by rounding this node's piece of the total
        std::vector<real> sent_terms, received_terms;
    };

    /// What all constructors do.
    SharedSum(const Communicator& ranks, const Communicator& node, Message message, bool tree, SliceTerms terms);
    Range own_share(const Range& range) const;
    /// What a rank of this node needs of a range.
    Range needed(int rank, const Range& range) const;
    /// Where the pieces of a share begin that the nodes add up, and its end.
    std::vector<index_t> pieces(const Range& share) const;
    std::vector<std::size_t> piece_sizes(const Range& share) const;
    bool in_pieces() const { return tree_ || message_ == Message::bf16 || !firsts_.empty(); }
    /// As far as the terms of this node allow; where this is the only node into all arrays.
    void sum_on_node(const Range& share);
    /// From the first array of the node's rank 0 to those of the others that need it.
    /// @param but  a rank that has it
    void spread(const Range& range, int but = -1);
    /// Starts the sum over the nodes.
    void cross(const Range& share, Crossing& crossing);
    void cross_rounded(const Range& share, Crossing& crossing);
    void cross_terms(const Range& share, Crossing& crossing);
    /// Does what can be done now. @return the sum over the nodes is there, and in the node's arrays
    bool crossed(const Range& share, Crossing& crossing);
    /// The pieces of this node are there: adds them up in the first array.
    void add_pieces(const Range& piece, Crossing& crossing);
    /// Sends the others the total of this node's piece.
    void return_total(const Range& share, const Range& piece, Crossing& crossing);
    bool all_reached(std::uint64_t* Counters::*counter, std::uint64_t number) const;

    Message message_;
    bool tree_;
    Communicator ranks_;
    Communicator node_;                 ///< of this rank alone if the nodes are of different sizes
    Communicator across_;               ///< the owners of the same shares, one of each node
    Communicator back_;                 ///< the same: on one alone all would have to start both ways in one order
    std::size_t own_terms_;             ///< arrays of this rank
    std::size_t most_terms_;            ///< of any rank of this node
    std::vector<std::size_t> term_at_;  ///< of each term of the node, by ranks: its place among all arrays
    Reduction on_node_;
    std::size_t crossing_terms_ = 1;  ///< tree: the most terms that any node is left with
    Reduction over_nodes_;            ///< tree: of `crossing_terms_` pieces from each node
    SharedWindow window_;
    std::vector<Counters> counters_;  ///< of the node's ranks
    std::vector<real*> arrays_;       ///< (rank of the node, term)
    std::span<real> values_;
    bool in_order_;                ///< nodes have ranks that follow each other
    std::vector<index_t> firsts_;  ///< see share_out

    std::uint64_t before_ = 0;         ///< ranges finished by earlier calls of `finish`
    std::vector<Range> ranges_;        ///< started since then
    std::vector<Crossing> crossings_;  ///< own shares of ranges, by their number; kept from step to step
    std::size_t on_the_way_ = 0;       ///< how many of them are summed on the node
    std::size_t finished_ = 0;         ///< how many of them have this rank's share in all arrays
};

}  // namespace pruntrain
