// What ends a run before its last step.
#pragma once

#include <string>

#include "pruntrain/base/timer.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// A batch system wants its machine back: a signal on any rank, a time limit by the clock of rank 0, or, for tests, a
/// given step. Each rank has a wish of its own; the trainer sums them, so that all ranks stop at the same step.
class StopRequest {
   public:
    /// From now on SIGUSR1, SIGUSR2 and SIGTERM do not end this process: the first one is remembered.
    static void catch_signals();
    /// They end it again; one that was remembered does so at once.
    static void release_signals();

    /// @param since_start   of the program
    /// @param time_limit_s  counted from there; 0: none
    /// @param preempt_step  as if a signal came in this step; 0: none
    StopRequest(const Timer& since_start, double time_limit_s, index_t preempt_step)
        : since_start_(since_start), time_limit_s_(time_limit_s), preempt_step_(preempt_step) {}

    /// True if this rank requests a stop after the current step. Call once a step.
    bool wanted(index_t step, bool is_root);
    /// The time limit is to leave as much for the checkpoint as the last one took.
    void leave_time_for(double checkpoint_s) { checkpoint_s_ = checkpoint_s; }
    /// In words: what a rank or more wanted to stop for. Collective.
    std::string reason(const Communicator& world) const;

   private:
    static constexpr index_t time_limit = 1000, simulated = 1001;  ///< reasons; the others are numbers of signals

    bool time_is_up();

    Timer since_start_;
    double time_limit_s_;
    index_t preempt_step_;
    double checkpoint_s_ = 0;
    double asked_s_ = -1;        ///< when `wanted` was asked last; -1: never
    double longest_step_s_ = 0;  ///< so far, with the evaluation, prune event and checkpoint behind it
    index_t reason_ = 0;         ///< 0: none
};

}  // namespace pruntrain
