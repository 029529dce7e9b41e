// w_q^2 / (2 [F^-1]_qq), F the Fisher matrix of blocks of weights: what the loss rises, to second order, if the weight
// goes and the others of its block follow as is best (Singh & Alistarh 2020, "WoodFisher: efficient second-order
// approximation for neural network compression"). With blocks of one weight it is the criterion fisher, but for the
// damping.
#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

class WoodFisher final : public Criterion {
   public:
    WoodFisher(const MicroBatches& micro_batches, const FisherBlocks& blocks)
        : micro_batches_(micro_batches), blocks_(blocks) {}

    GradientOf gradient_of() const override { return GradientOf::curvature; }
    MicroBatches micro_batches() const override { return micro_batches_; }
    FisherBlocks fisher_blocks() const override { return blocks_; }

    std::vector<real> scores(const Parameter& parameter) const override {
        std::vector<real> all(parameter.value.size());
        for (std::size_t k = 0; k < all.size(); ++k)
            all[k] = parameter.gradient[k] * parameter.value[k] * parameter.value[k] / 2;
        return all;
    }

    std::string describe() const override { return "WoodFisher"; }

   private:
    MicroBatches micro_batches_;
    FisherBlocks blocks_;
};

}  // namespace

std::unique_ptr<Criterion> make_wood_fisher(const Config& config, std::uint64_t) {
    const MicroBatches micro_batches{
        config.integer("samples", 16, at_least(1), "of a micro-batch, which gives one gradient; 1: the most exact"),
        config.integer("batches", 64, at_least(1),
                       "micro-batches of an event, over all ranks, whose gradients are held for so long")};
    const FisherBlocks blocks{
        config.integer("block", 64, at_least(1), "consecutive kept weights of a tensor with their covariances"),
        // Less is lost to rounding, since the inverse begins with 1 / damping on its diagonal.
        config.number("damping", 1e-5, at_least(1e-10), "is added to the diagonal of the Fisher matrix"),
        config.flag("update", false, "an event moves the weights that stay so that the loss rises least")};
    return std::make_unique<WoodFisher>(micro_batches, blocks);
}

}  // namespace pruntrain
