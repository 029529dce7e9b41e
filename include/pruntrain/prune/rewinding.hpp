// Rewinding: a run of several trainings, each but the first from an earlier step on, with fewer weights.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "pruntrain/model/network.hpp"

namespace pruntrain {

/// What returns to a step of the first training when another one begins there, in addition to learning rate, order of
/// the data and random streams, which always do.
enum class Rewind {
    weights,        ///< weights and optimizer state (Frankle & Carbin 2019; Frankle et al. 2020)
    learning_rate,  ///< nothing: trained weights, new optimizer state (Renda et al. 2020)
    random,         ///< as weights, but the last training has new initial weights and a new optimizer state
};

/// One training of the whole length, then, after each of several rounds of pruning, one from the step `to`. Steps of
/// the run are counted over all of them. A pure function of the step.
class Rewinding {
   public:
    /// None: the run is one training.
    Rewinding() = default;
    /// @param training  steps of the first training @param to  from 0 to below them
    Rewinding(Rewind what, index_t training, index_t to, index_t rounds)
        : what_(what), training_(training), to_(to), rounds_(rounds) {}

    index_t rounds() const { return rounds_; }  ///< 0: none
    index_t to() const { return to_; }
    index_t run_steps() const { return training_ + rounds_ * (training_ - to_); }
    /// The step at which the last training begins.
    index_t last_step() const { return run_steps() - (training_ - to_); }

    /// The trainings that have ended by this step, without the last one.
    index_t ended_by(index_t step) const;
    /// After so many updates weights are pruned, and another training begins.
    bool rewinds_at(index_t step) const;
    /// After so many updates the run has the weights to which it will return.
    bool remembers_at(index_t step) const { return rounds_ > 0 && step == to_ && what_ != Rewind::learning_rate; }

    /// The step of its training that a step of the run is: learning rate, order of the data and random streams are
    /// functions of it.
    index_t training_step(index_t step) const;
    /// The number, from 1, of the update that follows so many in the run: for an optimizer that counts them since its
    /// state was 0.
    index_t update_number(index_t step) const;

    /// The slots with the state to which the run returns.
    std::vector<std::string> slot_names(const std::vector<std::string>& of_optimizer) const;
    /// Copies weights and optimizer state to them. Local.
    void remember(Arena& arena) const;
    /// Restores that state; slots of a pruning criterion become 0, statistics of batch-norm continue. Local: of a
    /// partitioned state only this rank's part.
    void rewind(index_t step, std::uint64_t seed, Network& network) const;

    /// "in 2 rounds, after 30 steps and then every 22, each followed by a training with the learning rate of step 8"
    std::string describe() const;

   private:
    /// The optimizer state was 0 when the present training began.
    bool begins_anew(index_t step) const;

    Rewind what_ = Rewind::weights;
    index_t training_ = std::numeric_limits<index_t>::max();
    index_t to_ = 0;
    index_t rounds_ = 0;
};

}  // namespace pruntrain
