#include "pruntrain/run/stop_request.hpp"

#include <signal.h>

#include <algorithm>
#include <atomic>

namespace pruntrain {

namespace {

/// The first signal; 0: none. A handler may run on any thread of the process.
std::atomic<int> remembered = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler must not wait for a lock");

void set_handler(void (*handler)(int)) {
    struct sigaction action = {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;  // restarts an interrupted read of a file
    for (const int signal : {SIGUSR1, SIGUSR2, SIGTERM}) sigaction(signal, &action, nullptr);
}

}  // namespace

void StopRequest::catch_signals() {
    set_handler([](int signal) {
        int none = 0;
        remembered.compare_exchange_strong(none, signal);
    });
}

void StopRequest::release_signals() {
    set_handler(SIG_DFL);
    if (remembered != 0) raise(remembered);
}

bool StopRequest::time_is_up() {
    constexpr double margin_s = 1;  // margin for a slower checkpoint and the end of the program
    const double now_s = since_start_.seconds();
    if (asked_s_ >= 0) longest_step_s_ = std::max(longest_step_s_, now_s - asked_s_);
    asked_s_ = now_s;
    return time_limit_s_ > 0 && now_s + longest_step_s_ + checkpoint_s_ + margin_s > time_limit_s_;
}

bool StopRequest::wanted(index_t step, bool is_root) {
    if (is_root && time_is_up()) reason_ = time_limit;
    if (step == preempt_step_) reason_ = simulated;
    if (remembered != 0) reason_ = remembered;
    return reason_ != 0;
}

std::string StopRequest::reason(const Communicator& world) const {
    switch (world.all_reduce_max(reason_)) {
        case SIGUSR1:
            return "SIGUSR1";
        case SIGUSR2:
            return "SIGUSR2";
        case SIGTERM:
            return "SIGTERM";
        case time_limit:
            return "run.time_limit";
        default:
            return "--simulate-preempt";
    }
}

}  // namespace pruntrain
