// Requests to end a run before its last step (preemption).
#pragma once

#include <string>

#include "pruntrain/base/timer.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// A run stops early on a signal on any rank, on a time limit by the clock of rank 0, or, for tests, at a given step.
/// Each rank has its own request; the trainer sums them, so that all ranks stop at the same step.
class StopRequest {
   public:
    /// From now on SIGUSR1, SIGUSR2 and SIGTERM do not end this process: the first one is recorded.
    static void catch_signals();
    /// Restores the default action; a recorded signal is raised at once.
    static void release_signals();

    /// @param since_start   of the program
    /// @param time_limit_s  counted from `since_start`; 0: none
    /// @param preempt_step  simulates a signal in this step; 0: none
    StopRequest(const Timer& since_start, double time_limit_s, index_t preempt_step)
        : since_start_(since_start), time_limit_s_(time_limit_s), preempt_step_(preempt_step) {}

    /// True if this rank requests a stop after the current step. Call it once per step.
    bool wanted(index_t step, bool is_root);
    /// Reserves as much of the time limit as the last checkpoint took.
    void leave_time_for(double checkpoint_s) { checkpoint_s_ = checkpoint_s; }
    /// The reason for which one or more ranks requested the stop, for messages. Collective.
    std::string reason(const Communicator& world) const;

   private:
    static constexpr index_t time_limit = 1000, simulated = 1001;  ///< reasons; other values are signal numbers

    bool time_is_up();

    Timer since_start_;
    double time_limit_s_;
    index_t preempt_step_;
    double checkpoint_s_ = 0;
    double asked_s_ = -1;        ///< time of the last call of `wanted`; -1: never
    double longest_step_s_ = 0;  ///< so far, including evaluation, prune event and checkpoint after the step
    index_t reason_ = 0;         ///< 0: none
};

}  // namespace pruntrain
