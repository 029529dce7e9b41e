// Where the time of a run goes.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "pruntrain/base/timer.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// What a rank is busy with: the training step up to `observe`, then what stands beside it.
enum class Phase {
    input,     ///< drawing, gathering and normalising the batch
    forward,   ///< of each layer
    loss,      ///< with the gradient of the outputs
    backward,  ///< of each layer
    reduce,    ///< sums of gradients, as far as backward does not hide them: work on them and waiting for other ranks
    update,    ///< the optimizer
    observe,   ///< sums for the history, progress lines
    prune,
    plan,       ///< choosing dense or sparse execution
    rebalance,  ///< moving rows of weights between shards
    evaluate,
    checkpoint,
};

std::string name_of(Phase phase);
inline bool in_step(Phase phase) { return phase <= Phase::observe; }

/// What was done in the time of a phase, as far as it can be counted.
struct Work {
    double flops = 0;         ///< of matrix products with the kept weights; a multiply-add is two
    double moved_bytes = 0;   ///< read and written in the arena
    double summed_bytes = 0;  ///< of this rank's numbers that were summed over the ranks
};

struct ProfileRow {
    Phase phase{};
    std::string layer{};   ///< empty where a phase has no layers
    double seconds = 0;    ///< of this rank
    double slowest_s = 0;  ///< of the rank that took longest
    index_t times = 0;     ///< that the phase was entered
    Work work{};           ///< of this rank

    std::string name() const;  ///< "forward dense1"
};

using ProfileRows = std::vector<ProfileRow>;

/// A clock with one hand: time always belongs to the phase that was entered last, so none is counted twice and none is
/// lost. Entering reads the clock once, some 30 ns; where a profile is off it only notes the phase.
class Profile {
   public:
    /// @param layers  names in model order
    Profile(bool on, const std::vector<std::string>& layers);
    Profile(const Profile&) = delete;
    Profile& operator=(const Profile&) = delete;

    bool on() const { return on_; }
    /// The phase entered last, and how many times one was entered; for other threads too.
    Phase now() const { return now_.load(std::memory_order_relaxed); }
    std::uint64_t entered() const { return entered_.load(std::memory_order_relaxed); }
    void enter(Phase phase, std::size_t layer = 0);
    void add(const Work& work);  ///< to the phase entered last
    void stop();                 ///< until a phase is entered again

    /// The phases that were entered, in the order of `Phase`; none where the profile is off. Collective.
    ProfileRows rows(const Communicator& ranks) const;

   private:
    bool on_;
    std::atomic<Phase> now_ = Phase::input;
    std::atomic<std::uint64_t> entered_ = 0;
    Timer clock_;
    double entered_at_s_ = 0;
    ProfileRows rows_;                    ///< of all phases
    std::vector<std::size_t> first_row_;  ///< of each phase
    ProfileRow* open_ = nullptr;
};

/// What a person reads: the step and its parts, then what stands beside it.
std::string profile_text(const ProfileRows& rows, int ranks);
/// The content of profile.csv.
std::string profile_csv(const ProfileRows& rows);

}  // namespace pruntrain
