// The program's interface to MPI, and its only owner: nothing else includes mpi.h.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "pruntrain/base/bfloat16.hpp"
#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// MPI from the first to the last line of main. Throws if MPI cannot start.
class MpiSession {
   public:
    MpiSession(int& argc, char**& argv);
    ~MpiSession();
    MpiSession(const MpiSession&) = delete;
    MpiSession& operator=(const MpiSession&) = delete;

    /// Ends all ranks at once with this exit status: for a fault that one rank alone may have seen.
    [[noreturn]] static void abort(int exit_status);
};

/// A fault of one rank that `Communicator::rethrow_collectively` has reported to all: every rank throws it.
class SharedFault : public std::runtime_error {
   public:
    using std::runtime_error::runtime_error;
};

/// A nonblocking collective in progress. Wait for it before its buffer is accessed or freed.
class Pending {
   public:
    Pending();  ///< of nothing: done
    Pending(Pending&&) noexcept;
    Pending& operator=(Pending&&) noexcept;
    ~Pending();

    bool done();  ///< also lets MPI make progress
    void wait();

   private:
    friend class Communicator;
    struct State;
    std::unique_ptr<State> state_;
};

/// A group of ranks. All members must make the same collective calls in the same order.
// Large because it has one method for each collective that the program uses, with MPI's name.
class Communicator {
   public:
    static Communicator world();

    int rank() const;
    int size() const;
    bool is_root() const { return rank() == 0; }

    Communicator split(int color) const;  ///< ranks of one colour, in the order of their ranks here
    Communicator node() const;            ///< the ranks that share memory with this one

    /// In place, over all ranks; every rank gets the same bits.
    void all_reduce_sum(std::span<float> values) const;
    void all_reduce_sum(std::span<double> values) const;
    void all_reduce_sum(std::span<std::uint64_t> values) const;
    Pending start_all_reduce_sum(std::span<float> values) const;
    Pending start_all_reduce_sum(std::span<double> values) const;

    /// All-gather of pieces of equal size, in rank order.
    template <class T>
    Pending start_all_gather(std::span<const T> own, std::span<T> all) const;

    /// All-gather of blocks of any size, in rank order.
    /// @param own    may be in its place in `all`
    /// @param sizes  of each rank's block
    void all_gather_v(std::span<const real> own, std::span<real> all, std::span<const std::size_t> sizes) const;
    /// Rank r gets the r-th block of every rank, in rank order; blocks may have any size. T as for gather_v.
    template <class T>
    void all_to_all_v(std::span<const T> to_each, std::span<const std::size_t> to_sizes, std::span<T> from_each,
                      std::span<const std::size_t> from_sizes) const;
    /// Both without blocking. T: real, Bfloat16.
    template <class T>
    Pending start_all_to_all_v(std::span<const T> to_each, std::span<const std::size_t> to_sizes,
                               std::span<T> from_each, std::span<const std::size_t> from_sizes) const;
    template <class T>
    Pending start_all_gather_v(std::span<const T> own, std::span<T> all, std::span<const std::size_t> sizes) const;
    /// Rank r gets the r-th block of the sum of all arrays.
    void reduce_scatter(std::span<const real> all, std::span<real> own, std::span<const std::size_t> sizes) const;
    /// The root gets the blocks of all ranks, in rank order, whatever their sizes; the others get nothing.
    /// T: real, std::int32_t, index_t
    template <class T>
    std::vector<T> gather_v(std::span<const T> own) const;

    index_t all_reduce_max(index_t value) const;
    double all_reduce_max(double value) const;

    /// From `root` to all. Sizes must agree; `broadcast_text` carries its own size.
    template <class T>
    void broadcast(std::span<T> values, int root = 0) const {
        broadcast_bytes(std::as_writable_bytes(values), root);
    }
    void broadcast_text(std::string& value, int root = 0) const;

    std::vector<std::uint64_t> all_gather(std::uint64_t value) const;

    void barrier() const;
    Pending start_barrier() const;

    /// Lets MPI progress messages: for a loop that waits for something outside of MPI while a peer may wait for the
    /// rest of a message from this rank.
    void make_progress() const;

    /// Runs `work`, which may differ between ranks and must not communicate over these ranks. If it throws on any rank,
    /// every rank throws what the lowest failing rank threw: an InputError stays one, all else becomes a SharedFault.
    void rethrow_collectively(const std::function<void()>& work) const;

   private:
    struct Handle;
    friend class SharedWindow;
    friend class RemoteWindow;
    explicit Communicator(std::shared_ptr<Handle> handle);
    void broadcast_bytes(std::span<std::byte> bytes, int root) const;
    std::shared_ptr<Handle> handle_;
};

/// Memory that all ranks of a node see (MPI_Win_allocate_shared).
class SharedWindow {
   public:
    SharedWindow() = default;
    /// Collective over `node`, ranks of one Communicator::node(). Its root owns the bytes; fill them there, then call
    /// `publish` on all ranks before any other rank reads.
    SharedWindow(const Communicator& node, std::size_t bytes);
    /// The same with `bytes` for each rank, which lie close to the rank that touches them first.
    static SharedWindow with_parts(const Communicator& node, std::size_t bytes);

    std::span<std::byte> bytes() const { return part(0); }
    std::span<std::byte> part(int rank) const;
    void publish() const;  ///< collective over the node

   private:
    struct State;
    SharedWindow(const Communicator& node, std::size_t bytes, int owners);
    std::shared_ptr<State> state_;
};

}  // namespace pruntrain
