// c w^2 / 2: what the loss rises if the weight goes, to second order, with the empirical Fisher information F for the
// Hessian.
// fisher: c = F_ww, the mean of squared gradients of the loss; the other weights stay as they are (LeCun et al. 1990,
// "Optimal brain damage"; Theis et al. 2018, "Faster gaze prediction with dense networks and Fisher pruning").
// wood_fisher: c = 1 / [F^-1]_ww, F in blocks of weights; the others of its block follow as is best (Singh & Alistarh
// 2020, "WoodFisher: efficient second-order approximation for neural network compression"). With blocks of one weight
// it is fisher, but for the damping. The gradients are of micro-batches, since squares of the gradient of a large batch
// are small where those of its samples differ in sign: samples: 1 is the Fisher information itself, more samples are
// faster.
#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

class Fisher final : public Criterion {
   public:
    Fisher(std::string name, ScoreInput what, const MicroBatches& micro_batches, const FisherBlocks& blocks)
        : name_(std::move(name)), what_(what), micro_batches_(micro_batches), blocks_(blocks) {}

    ScoreInput score_input() const override { return what_; }
    MicroBatches micro_batches() const override { return micro_batches_; }
    FisherBlocks fisher_blocks() const override { return blocks_; }

    std::vector<real> scores(const Parameter& parameter) const override {
        std::vector<real> all(parameter.value.size());
        for (std::size_t k = 0; k < all.size(); ++k)
            all[k] = parameter.gradient[k] * parameter.value[k] * parameter.value[k] / 2;
        return all;
    }

    std::string describe() const override { return name_; }

   private:
    std::string name_;
    ScoreInput what_;
    MicroBatches micro_batches_;
    FisherBlocks blocks_;
};

}  // namespace

std::unique_ptr<Criterion> make_fisher(const Config& config, std::uint64_t) {
    const index_t samples =
        config.integer("samples", 16, at_least(1), "of a micro-batch, whose gradient is squared; 1: the most exact");
    const index_t batches = config.integer("batches", 64, at_least(1), "micro-batches of an event, over all ranks");
    return std::make_unique<Fisher>("Fisher", ScoreInput::squares, MicroBatches{samples, batches}, FisherBlocks{});
}

std::unique_ptr<Criterion> make_wood_fisher(const Config& config, std::uint64_t) {
    const MicroBatches micro_batches{
        config.integer("samples", 16, at_least(1), "of a micro-batch, which gives one gradient; 1: the most exact"),
        config.integer("batches", 64, at_least(1),
                       "micro-batches of an event, over all ranks, whose gradients are held for so long")};
    const FisherBlocks blocks{
        config.integer("block", 64, at_least(1), "consecutive kept weights of a tensor with their covariances"),
        // Less is lost to rounding, since the inverse offsets with 1 / damping on its diagonal.
        config.number("damping", 1e-5, at_least(1e-10), "is added to the diagonal of the Fisher matrix"),
        config.flag("update", false, "an event moves the weights that stay so that the loss rises least")};
    return std::make_unique<Fisher>("WoodFisher", ScoreInput::curvature, micro_batches, blocks);
}

}  // namespace pruntrain
