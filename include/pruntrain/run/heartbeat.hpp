// Detects hung ranks.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/run/profile.hpp"

namespace pruntrain {

/// A rank that is stopped, swapped out, or hung in a file system blocks all others, which wait for it in MPI. So a
/// thread of every rank sends its state several times per `stall_s`, in datagrams outside of MPI. They go to rank 0,
/// and from rank 0 to rank 1. The receiver reports a rank that is silent, or all ranks if none makes progress, for
/// `stall_s`. The report has rank, host, step and phase, and is repeated only when the rank is back.
class Heartbeat {
   public:
    /// Collective.
    /// @param stall_s  no less than the longest evaluation or checkpoint takes; 0: no monitoring, and no thread
    /// @param aborts   the monitoring rank exits with the status of a fault, so mpirun ends the others
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
