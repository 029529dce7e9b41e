// All at once.
#include "pruntrain/prune/schedule.hpp"

namespace pruntrain {

namespace {

class OneShot final : public PruneSchedule {
   public:
    OneShot(index_t step, double sparsity) : step_(step), sparsity_(sparsity) {}
    bool event_at(index_t step) const override { return step == step_; }
    double sparsity_at(index_t step) const override { return step >= step_ ? sparsity_ : 0; }
    index_t end_step() const override { return step_; }
    std::string describe() const override { return text("one-shot at step ", step_); }

   private:
    index_t step_;
    double sparsity_;
};

}  // namespace

std::unique_ptr<PruneSchedule> make_one_shot(const Config& config, double final_sparsity, const RunLength& length) {
    return std::make_unique<OneShot>(read_time(config, "at", 0, "the event; 0: before training", length),
                                     final_sparsity);
}

}  // namespace pruntrain
