// As cubic, but weights with scores above a threshold remain, so the final sparsity may be lower: with `criterion:
// movement`, its `penalty` and `straight_through` this is soft movement pruning (Sanh et al. 2020, table 1, whose
// sigmoid(S) > tau is S > log(tau / (1 - tau))). All ranks count the scores above it, so the mask is as exact as with a
// given sparsity.
#include "pruntrain/prune/schedule.hpp"

namespace pruntrain {

namespace {

class Threshold final : public GradualSchedule {
   public:
    Threshold(const Config& config, double final_sparsity, const RunLength& length)
        : GradualSchedule(config, "cubic", cubic_rise, final_sparsity, length),
          threshold_(config.number("threshold", std::nullopt, {},
                                   "weights with scores above it remain, whatever the sparsity")) {}
    std::optional<double> threshold() const override { return threshold_; }
    Traits traits() const override { return {.has = {Trait::score_threshold}, .refuses = {}}; }
    std::string describe() const override {
        return text(GradualSchedule::describe(), ", scores above ", exact(threshold_), " remain");
    }

   private:
    double threshold_;
};

}  // namespace

std::unique_ptr<PruneSchedule> make_threshold(const Config& config, double final_sparsity, const RunLength& length) {
    return std::make_unique<Threshold>(config, final_sparsity, length);
}

}  // namespace pruntrain
