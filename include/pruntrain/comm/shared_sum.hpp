// All-reduce through shared memory: ranks of a node add in place, without messages, packing or extra copies.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pruntrain/base/sum_tree.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// An array on every rank. Ranges of it are summed over all ranks, in place and non-blocking.
///
/// The arrays of a node are in one shared-memory window. Each range is split on cache-line boundaries into one share
/// per rank of the node. Once all ranks of the node have started the range, the owner of a share adds it up and writes
/// the sum to all arrays. No other rank touches that share, so no second buffer is needed. With several nodes, the
/// owners of the same share sum over the nodes by MPI. If nodes differ in size, their shares differ, and MPI sums
/// everything.
///
/// `Message::exact` adds in an order that depends only on the number of ranks and the range: all ranks get
/// bit-identical sums, in every run. With `Message::bf16` values are rounded to bfloat16 for transfer between nodes.
/// Each node sends every other node a piece of its sum; the receiver adds the pieces in full precision and sends the
/// total back. The residual of either rounding is added to the same range in the next step (error feedback in both
/// directions: Tang et al. 2021, "1-bit Adam", section 4).
///
/// `SliceTerms` sums in the order of a tree over slices of a batch: bit-identical for any number of ranks that
/// partition the slices. A rank may then have several arrays, its terms: one per tree node that it holds.
// Large because it holds the state of one nonblocking algorithm: buckets, the node's windows, messages between nodes.
class SharedSum {
   public:
    enum class Message { exact, bf16 };  ///< between nodes

    /// The tree nodes that a rank contributes.
    struct SliceTerms {
        index_t slices;               ///< of the whole tree
        std::vector<TreeNode> nodes;  ///< of this rank, at least one
    };

    /// Collective over `ranks`. `node`: the ranks that share memory with this one, `ranks.node()` or a subset of it.
    SharedSum(const Communicator& ranks, const Communicator& node, Message message = Message::exact);
    /// Sums in the order of the tree.
    SharedSum(const Communicator& ranks, const Communicator& node, const SliceTerms& terms);

    /// Allocates uninitialized arrays of this size on every rank and frees the earlier ones. Collective; no sum may be
    /// in progress.
    /// @return the first array, which receives the sums
    std::span<real> allocate(index_t size);
    std::span<real> values() const { return values_; }
    /// An array of this rank. The first is `values`; the content of the others is undefined after a sum.
    std::span<real> term(std::size_t number) const;

    /// From now on rank r receives only the sums of the elements firsts[r] to firsts[r + 1], which halves the bytes
    /// between nodes. Empty: every rank receives all sums. No sum may be in progress. A change resets the residual.
    void share_out(std::vector<index_t> firsts);

    /// The elements [begin, end) of this rank are ready; it must not touch them until `finish`. All ranks must start
    /// the same ranges in the same order. Ranges must not overlap until `finish`.
    void start(index_t begin, index_t end);
    /// Advances the sums that were started as far as possible without waiting. @return true if all of them are finished
    bool progress();
    /// Waits until all started sums are finished.
    void finish();

    /// Drops the rounding residual: call it if the values change their meaning or a step must not depend on earlier
    /// ones.
    void reset_residual() { crossings_.clear(); }

   private:
    struct Range {
        index_t begin = 0, end = 0;
    };
    /// The number of ranges that a rank has started and finished since `allocate`. Only that rank writes them.
    struct Counters {
        std::uint64_t* started = nullptr;
        std::uint64_t* finished = nullptr;
    };

    /// A share that is summed over the nodes: by an MPI reduction, or in pieces, one per node, of each of its terms.
    struct Crossing {
        Pending pending;
        bool gathering = false;                ///< the pieces of the total are being returned
        std::vector<Bfloat16> sent, received;  ///< bf16
        std::vector<real> residual;            ///< bf16: rounding residual of `sent` in the previous step
        std::vector<real> total_residual;      ///< bf16: rounding residual of this node's piece of the total
        std::vector<real> sent_terms, received_terms;
    };

    /// The common part of all constructors.
    SharedSum(const Communicator& ranks, const Communicator& node, Message message, bool tree, SliceTerms terms);
    Range own_share(const Range& range) const;
    /// The part of a range that a rank of this node needs.
    Range needed(int rank, const Range& range) const;
    /// The offsets of the pieces of a share that the nodes add up, and its end.
    std::vector<index_t> pieces(const Range& share) const;
    std::vector<std::size_t> piece_sizes(const Range& share) const;
    bool in_pieces() const { return tree_ || message_ == Message::bf16 || !firsts_.empty(); }
    /// Sums as far as the terms of this node allow; on a single node, into all arrays.
    void sum_on_node(const Range& share);
    /// Copies from the first array of the node's rank 0 to the arrays of the ranks that need it.
    /// @param but  a rank that already has it
    void spread(const Range& range, int but = -1);
    /// Starts the sum over the nodes.
    void cross(const Range& share, Crossing& crossing);
    void cross_rounded(const Range& share, Crossing& crossing);
    void cross_terms(const Range& share, Crossing& crossing);
    /// Advances without waiting. @return true if the sum over the nodes is complete and in the node's arrays
    bool crossed(const Range& share, Crossing& crossing);
    /// Adds the received pieces of this node in the first array.
    void add_pieces(const Range& piece, Crossing& crossing);
    /// Sends the total of this node's piece to the other nodes.
    void return_total(const Range& share, const Range& piece, Crossing& crossing);
    bool all_reached(std::uint64_t* Counters::*counter, std::uint64_t number) const;

    Message message_;
    bool tree_;
    Communicator ranks_;
    Communicator node_;                 ///< only this rank if the nodes differ in size
    Communicator across_;               ///< the owners of the same share, one per node
    Communicator back_;                 ///< duplicate of across_: the two directions may start in different orders
    std::size_t own_terms_;             ///< arrays of this rank
    std::size_t most_terms_;            ///< maximum over the ranks of this node
    std::vector<std::size_t> term_at_;  ///< position of each term of the node, by rank, in all arrays
    Reduction on_node_;
    std::size_t crossing_terms_ = 1;  ///< tree: maximum number of remaining terms of a node
    Reduction over_nodes_;            ///< tree: of `crossing_terms_` pieces from each node
    SharedWindow window_;
    std::vector<Counters> counters_;  ///< of the node's ranks
    std::vector<real*> arrays_;       ///< (rank of the node, term)
    std::span<real> values_;
    bool in_order_;                ///< ranks of a node are consecutive
    std::vector<index_t> firsts_;  ///< see share_out

    std::uint64_t before_ = 0;         ///< ranges finished by earlier calls of `finish`
    std::vector<Range> ranges_;        ///< started since then
    std::vector<Crossing> crossings_;  ///< own shares of ranges, by range index; reused in every step
    std::size_t on_node_count_ = 0;    ///< how many of them are summed on the node
    std::size_t finished_ = 0;         ///< number of ranges with this rank's share in all arrays
};

}  // namespace pruntrain
