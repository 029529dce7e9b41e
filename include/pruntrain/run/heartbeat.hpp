// Notices ranks that have stopped without having ended.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/run/profile.hpp"

namespace pruntrain {

/// A rank that is stopped, swapped out, or hangs in a file system takes all others with it: they wait for it in MPI for
/// ever. So a thread of every rank says several times in `stall_s` what the rank is doing, in datagrams beside MPI, to
/// rank 0, and rank 0 to rank 1. What has been silent or where nothing has gone on for `stall_s` is told there, by
/// rank, host, step and phase: once, and once more when it is over.
class Heartbeat {
   public:
    /// @param stall_s  no less than the longest evaluation or checkpoint takes; 0: no watch, and no thread
    /// @param aborts   the watching rank ends its process with the exit status of a fault, so mpirun ends the others
    /// Collective.
    Heartbeat(double stall_s, bool aborts, const Profile& profile, const Communicator& world);
    ~Heartbeat();
    Heartbeat(const Heartbeat&) = delete;
    Heartbeat& operator=(const Heartbeat&) = delete;

    void begin_step(index_t step) { step_.store(step, std::memory_order_relaxed); }

   private:
    class Thread;

    std::atomic<index_t> step_ = 0;
    std::unique_ptr<Thread> thread_;
};

}  // namespace pruntrain
