// Rewinding: a run of several trainings. Each but the first starts from an earlier step, with fewer weights.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "pruntrain/model/network.hpp"

namespace pruntrain {

/// The state that is rewound when another training begins. Learning rate, order of the data and random draws are always
/// rewound.
enum class Rewind {
    weights,        ///< weights and optimizer state (Frankle & Carbin 2019; Frankle et al. 2020)
    learning_rate,  ///< nothing else: weights stay as trained, the optimizer restarts (Renda et al. 2020)
    random,         ///< as weights, but the last training has new initial weights, and the optimizer restarts
};

/// One training of full length, then, after each of several rounds of pruning, one from step `to` on. Steps of the run
/// count over all trainings. A pure function of the step.
class Rewinding {
   public:
    /// No rewinding: the run is one training.
    Rewinding() = default;
    /// @param training  steps of the first training @param to  from 0 to below `training`
    Rewinding(Rewind what, index_t training, index_t to, index_t rounds)
        : what_(what), training_(training), to_(to), rounds_(rounds) {}

    index_t rounds() const { return rounds_; }  ///< 0: none
    index_t to() const { return to_; }
    index_t run_steps() const { return training_ + rounds_ * (training_ - to_); }
    /// The step at which the last training begins.
    index_t last_step() const { return run_steps() - (training_ - to_); }

    /// The number of trainings that have ended by this step, without the last one.
    index_t ended_by(index_t step) const;
    /// True if weights are pruned after so many updates, and another training begins.
    bool rewinds_at(index_t step) const;
    /// True if the weights after so many updates are those to which the run rewinds.
    bool remembers_at(index_t step) const { return rounds_ > 0 && step == to_ && what_ != Rewind::learning_rate; }

    /// The step within its training that corresponds to a step of the run. Learning rate, order of the data and random
    /// draws are functions of it.
    index_t training_step(index_t step) const;
    /// The index, from 1, of the update that follows `step` updates of the run, counted since the optimizer state was
    /// 0.
    index_t update_number(index_t step) const;

    /// The arena arrays that store the state to which the run rewinds.
    std::vector<std::string> slot_names(const std::vector<std::string>& of_optimizer) const;
    /// Copies weights and optimizer state to these arrays. Local.
    void remember(Arena& arena) const;
    /// Restores the stored state. The state of a pruning criterion becomes 0; statistics of batch-norm stay. Local:
    /// with partitioned optimizer state, for this rank's elements only.
    void rewind(index_t step, std::uint64_t seed, Network& network) const;

    /// "in 2 rounds, after 30 steps and then every 22, each followed by a training with the learning rate of step 8"
    std::string describe() const;

   private:
    /// True if the optimizer state was 0 when the current training began.
    bool begins_anew(index_t step) const;

    Rewind what_ = Rewind::weights;
    index_t training_ = std::numeric_limits<index_t>::max();
    index_t to_ = 0;
    index_t rounds_ = 0;
};

}  // namespace pruntrain
