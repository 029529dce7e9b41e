// F w^2 / 2, F the mean of squared gradients of the loss, the diagonal of the empirical Fisher information: what the
// loss rises if the weight goes, to second order, with the Fisher information for the Hessian (LeCun et al. 1990,
// "Optimal brain damage"; Theis et al. 2018, "Faster gaze prediction with dense networks and Fisher pruning"). The
// gradients are of micro-batches, since squares of the gradient of a large batch are small where those of its samples
// differ in sign: samples: 1 is the Fisher information itself, more samples are faster.
#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

class Fisher final : public Criterion {
   public:
    explicit Fisher(const MicroBatches& micro_batches) : micro_batches_(micro_batches) {}

    GradientOf gradient_of() const override { return GradientOf::squares; }
    MicroBatches micro_batches() const override { return micro_batches_; }

    std::vector<real> scores(const Parameter& parameter) const override {
        std::vector<real> all(parameter.value.size());
        for (std::size_t k = 0; k < all.size(); ++k)
            all[k] = parameter.gradient[k] * parameter.value[k] * parameter.value[k] / 2;
        return all;
    }

    std::string describe() const override { return "Fisher"; }

   private:
    MicroBatches micro_batches_;
};

}  // namespace

std::unique_ptr<Criterion> make_fisher(const Config& config, std::uint64_t) {
    const index_t samples =
        config.integer("samples", 16, at_least(1), "of a micro-batch, whose gradient is squared; 1: the most exact");
    const index_t batches = config.integer("batches", 64, at_least(1), "micro-batches of an event, over all ranks");
    return std::make_unique<Fisher>(MicroBatches{samples, batches});
}

}  // namespace pruntrain
