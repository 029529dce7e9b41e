// As cubic, but what scores above a threshold stays, so the sparsity may end lower: with `criterion: movement`, its
// `penalty` and `straight_through` this is soft movement pruning (Sanh et al. 2020, table 1, whose sigmoid(S) > tau is
// S > log(tau / (1 - tau))). All ranks count the scores above it, so the mask is as exact as with a given sparsity.
#include "pruntrain/prune/schedule.hpp"

namespace pruntrain {

namespace {

class Threshold final : public GradualSchedule {
   public:
    Threshold(const Config& config, double final_sparsity, const RunLength& length)
        : GradualSchedule(config, "cubic", cubic_rise, final_sparsity, length),
          threshold_(config.number("threshold", std::nullopt, {}, "scores above it stay, whatever the sparsity")) {}
    std::optional<double> threshold() const override { return threshold_; }
    std::string describe() const override {
        return text(GradualSchedule::describe(), ", scores above ", exact(threshold_), " stay");
    }

   private:
    double threshold_;
};

}  // namespace

std::unique_ptr<PruneSchedule> make_threshold(const Config& config, double final_sparsity, const RunLength& length) {
    return std::make_unique<Threshold>(config, final_sparsity, length);
}

}  // namespace pruntrain
