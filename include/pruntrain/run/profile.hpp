// Time profile of a run.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "pruntrain/base/timer.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// The activity of a rank: the training step up to `observe`, then activities outside of it.
enum class Phase {
    input,     ///< drawing, gathering and normalizing the batch
    forward,   ///< per layer
    loss,      ///< with the gradient of the outputs
    backward,  ///< per layer
    reduce,    ///< sums of gradients, as far as backward does not hide them: work and waiting for other ranks
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

/// The work done in a phase, as far as it can be counted.
struct Work {
    double flops = 0;         ///< of matrix products with the non-zeros; a multiply-add counts as two
    double moved_bytes = 0;   ///< read and written in the arena
    double summed_bytes = 0;  ///< of this rank's values that were summed over the ranks
};

struct ProfileRow {
    Phase phase{};
    std::string layer{};   ///< empty if a phase has no layers
    double seconds = 0;    ///< of this rank
    double slowest_s = 0;  ///< of the slowest rank
    index_t times = 0;     ///< number of times that the phase was entered
    Work work{};           ///< of this rank

    std::string name() const;  ///< "forward dense1"
};

using ProfileRows = std::vector<ProfileRow>;

/// Exclusive timer: elapsed time is charged to the most recently entered phase, so no time is counted twice or missed.
/// Entering a phase reads the clock once, about 30 ns; without a profile it only records the phase.
class Profile {
   public:
    /// @param layers  names in model order
    Profile(bool on, const std::vector<std::string>& layers);
    Profile(const Profile&) = delete;
    Profile& operator=(const Profile&) = delete;

    bool on() const { return on_; }
    /// The most recently entered phase, and the number of entries; other threads may call these.
    Phase now() const { return now_.load(std::memory_order_relaxed); }
    std::uint64_t entered() const { return entered_.load(std::memory_order_relaxed); }
    void enter(Phase phase, std::size_t layer = 0);
    void add(const Work& work);  ///< charges work to the most recently entered phase
    void stop();                 ///< until the next phase is entered

    /// The phases that were entered, in the order of `Phase`; none if there is no profile. Collective.
    ProfileRows rows(const Communicator& ranks) const;

   private:
    bool on_;
    std::atomic<Phase> now_ = Phase::input;
    std::atomic<std::uint64_t> entered_ = 0;
    Timer clock_;
    double entered_at_s_ = 0;
    ProfileRows rows_;                    ///< of all phases
    std::vector<std::size_t> first_row_;  ///< per phase
    ProfileRow* open_ = nullptr;
};

/// The text output: the step and its parts, then the phases outside of the step.
std::string profile_text(const ProfileRows& rows, int ranks);
/// The content of profile.csv.
std::string profile_csv(const ProfileRows& rows);

}  // namespace pruntrain
