// All at once, or in rounds at one step (Tanaka et al. 2020, algorithm 1; de Jorge et al. 2021, iterative SNIP).
#include "pruntrain/prune/schedule.hpp"

namespace pruntrain {

namespace {

class OneShot final : public PruneSchedule {
   public:
    OneShot(index_t step, index_t rounds, double sparsity) : step_(step), rounds_(rounds), sparsity_(sparsity) {}
    bool event_at(index_t step) const override { return step == step_; }
    double sparsity_at(index_t step) const override { return step >= step_ ? sparsity_ : 0; }
    index_t end_step() const override { return step_; }
    index_t rounds() const override { return rounds_; }
    Traits traits() const override { return {}; }
    std::string describe() const override {
        return text("one-shot at step ", step_, rounds_ > 1 ? text(" in ", rounds_, " rounds") : "");
    }

   private:
    index_t step_, rounds_;
    double sparsity_;
};

}  // namespace

std::unique_ptr<PruneSchedule> make_one_shot(const Config& config, double final_sparsity, const RunLength& length) {
    const index_t step = read_time(config, "at", 0, "the event; 0: before training", length,
                                   read_clamp(config) ? TooLate::allowed : TooLate::refused)
                             .step;
    const index_t rounds =
        config.integer("rounds", 1, between(1, 10000),
                       "scores are computed again in each round, and each round removes the same fraction of the "
                       "remaining weights (synflow: 100)");
    return std::make_unique<OneShot>(step, rounds, final_sparsity);
}

}  // namespace pruntrain
