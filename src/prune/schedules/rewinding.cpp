// Iterative pruning: train, prune, return to an earlier step, train again, ... (Frankle & Carbin 2019, "The lottery
// ticket hypothesis", section 1, iterative pruning with resetting; Frankle et al. 2020, "Linear mode connectivity and
// the lottery ticket hypothesis", algorithm 2, for steps above 0; Renda et al. 2020, "Comparing rewinding and
// fine-tuning in neural network pruning", for the learning rate alone). Each round removes the same fraction of the
// remaining weights: the density after round r of n is d^(r/n), d the final one.
#include <cmath>

#include "pruntrain/base/text.hpp"
#include "pruntrain/prune/schedule.hpp"

namespace pruntrain {

namespace {

class RewindingSchedule final : public PruneSchedule {
   public:
    RewindingSchedule(const Rewinding& rewinding, double sparsity) : rewinding_(rewinding), sparsity_(sparsity) {}
    bool event_at(index_t step) const override { return rewinding_.rewinds_at(step); }
    double sparsity_at(index_t step) const override {
        const index_t round = rewinding_.ended_by(step);
        if (round == rewinding_.rounds()) return sparsity_;
        return 1 - std::pow(1 - sparsity_, static_cast<double>(round) / static_cast<double>(rewinding_.rounds()));
    }
    index_t end_step() const override { return rewinding_.last_step(); }
    Rewinding rewinding() const override { return rewinding_; }
    Traits traits() const override { return {.has = {Trait::rewinds}, .refuses = {}}; }
    std::string describe() const override { return rewinding_.describe(); }

   private:
    Rewinding rewinding_;
    double sparsity_;
};

}  // namespace

std::unique_ptr<PruneSchedule> make_rewinding(const Config& config, double final_sparsity, const RunLength& length) {
    const index_t rounds =
        config.integer("rounds", 10, between(1, 1000),
                       "prune events, each between two trainings; the first training has train.epochs, "
                       "each other one the rest of these from the step to which it returns");
    const index_t to = read_time(config, "to", 0, "step of the first training to which the others return", length,
                                 TooLate::allowed)
                           .step;  // refused below
    const std::string what =
        config.choice("rewind", "weights", {"weights", "learning_rate", "random"},
                      "what returns to the earlier step besides learning rate and data order; weights: weights and "
                      "optimizer state; learning_rate: none, trained weights with a new optimizer state; random: as "
                      "weights, but the last training has new random weights, for comparison");
    if (to >= length.steps && !config.is_describing())
        input_error(config.has("to_step") ? config.place_of("to_step") : config.place_of("to_epoch"),
                    " is not before step ", length.steps,
                    ", where the first training ends and its weights are pruned: give an earlier one, or "
                    "more train.epochs");
    const Rewind rewind = what == "weights"  ? Rewind::weights
                          : what == "random" ? Rewind::random
                                             : Rewind::learning_rate;
    return std::make_unique<RewindingSchedule>(Rewinding(rewind, length.steps, to, rounds), final_sparsity);
}

}  // namespace pruntrain
