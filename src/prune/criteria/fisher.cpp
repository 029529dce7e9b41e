// c w^2 / 2: the increase of the loss if the weight is removed, to second order, with the empirical Fisher information
// F for the Hessian. fisher: c = F_ww, the mean of squared gradients of the loss; the other weights stay as they are
// (LeCun et al. 1990, "Optimal brain damage"; Theis et al. 2018, "Faster gaze prediction with dense networks and Fisher
// pruning"). wood_fisher: c = 1 / [F^-1]_ww, F in blocks of weights; the others of its block follow as is best (Singh &
// Alistarh 2020, "WoodFisher: efficient second-order approximation for neural network compression"). With blocks of one
// weight it is fisher, but for the damping. The gradients are of micro-batches, since squares of the gradient of a
// large batch are small where those of its samples differ in sign: samples: 1 is the Fisher information itself, more
// samples are faster.
#include <algorithm>
#include <bit>

#include "pruntrain/prune/block_fisher.hpp"
#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

/// The mean of the squared gradients of the loss of micro-batches. The sums of a training step serve: with sum: ordered
/// they have the same bits on any number of ranks, since the slices have the same micro-batches.
class SquaredGradients final : public ScoreInput {
   public:
    explicit SquaredGradients(const MicroBatches& micro_batches) : micro_batches_(micro_batches) {}

    std::unique_ptr<Compensation> find(ScoreContext& context) const override {
        AlignedVector<real> gradient(context.network.arena().gradients().size());
        const index_t count = micro_batches_.count;
        context.sum_over_slices([&](index_t slice, std::span<real> sums) {
            std::ranges::fill(sums, real{0});
            const Block own = even_block(count, slice, context.slices.count());
            for (index_t number = own.first; number < own.first + own.size; ++number) {
                context.find_micro_batch_gradient(micro_batches_, context.step * count + number, gradient);
                for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += gradient[k] * gradient[k];
            }
        });
        for (real& sum : context.network.arena().gradients()) sum /= static_cast<real>(count);
        return nullptr;
    }
    index_t arrays_held(index_t, index_t slices) const override {  // one for each level of the tree over the slices
        return 1 + static_cast<index_t>(std::bit_width(static_cast<std::uint64_t>(slices - 1)));
    }
    Requirements requirements() const override {
        return {.gradients_only = true,
                .exact_sums = false,
                .all_weights = false,
                .micro_batch_samples = micro_batches_.samples,
                .channel_scale = false};
    }

   private:
    MicroBatches micro_batches_;
};

/// 1 / [F^-1]_qq, F the Fisher matrix of blocks of weights: see BlockFisher.
class Curvature final : public ScoreInput {
   public:
    Curvature(const MicroBatches& micro_batches, const FisherBlocks& blocks)
        : micro_batches_(micro_batches), blocks_(blocks) {}

    std::unique_ptr<Compensation> find(ScoreContext& context) const override {
        Arena& arena = context.network.arena();
        const Communicator& replicas = context.grid.replicas();
        const index_t count = micro_batches_.count;
        auto fisher = std::make_unique<BlockFisher>(arena, blocks_, count, replicas);
        AlignedVector<real> gradient(arena.gradients().size());
        for (index_t first = 0; first < count; first += replicas.size()) {
            const index_t number = first + replicas.rank();
            if (number < count)
                context.find_micro_batch_gradient(micro_batches_, context.step * count + number, gradient);
            fisher->add(gradient);
        }
        fisher->find_curvatures(arena.gradients());
        if (!blocks_.update) fisher.reset();
        return fisher;
    }
    index_t arrays_held(index_t replicas, index_t) const override {  // the gradients of this replica's blocks, and one
        return 1 + (micro_batches_.count + replicas - 1) / replicas;
    }
    Requirements requirements() const override {
        return {.gradients_only = true,
                .exact_sums = false,
                .all_weights = blocks_.update,
                .micro_batch_samples = micro_batches_.samples,
                .channel_scale = false};
    }

   private:
    MicroBatches micro_batches_;
    FisherBlocks blocks_;
};

class Fisher final : public Criterion {
   public:
    Fisher(std::string name, std::unique_ptr<ScoreInput> input) : name_(std::move(name)), input_(std::move(input)) {}

    const ScoreInput* score_input() const override { return input_.get(); }

    std::vector<real> scores(const Parameter& parameter) const override {
        std::vector<real> all(parameter.value.size());
        for (std::size_t k = 0; k < all.size(); ++k)
            all[k] = parameter.gradient[k] * parameter.value[k] * parameter.value[k] / 2;
        return all;
    }

    Traits traits() const override { return {}; }
    std::string describe() const override { return name_; }

   private:
    std::string name_;
    std::unique_ptr<ScoreInput> input_;
};

}  // namespace

std::unique_ptr<Criterion> make_fisher(const Config& config, std::uint64_t) {
    const index_t samples = config.integer("samples", 16, at_least(1),
                                           "samples of a micro-batch, whose gradient is squared; 1: the most exact");
    const index_t batches = config.integer("batches", 64, at_least(1), "micro-batches of an event, over all ranks");
    return std::make_unique<Fisher>("Fisher", std::make_unique<SquaredGradients>(MicroBatches{samples, batches}));
}

std::unique_ptr<Criterion> make_wood_fisher(const Config& config, std::uint64_t) {
    const MicroBatches micro_batches{
        config.integer("samples", 16, at_least(1),
                       "samples of a micro-batch, which gives one gradient; 1: the most exact"),
        config.integer("batches", 64, at_least(1),
                       "micro-batches of an event, over all ranks; all their gradients are in memory at a time")};
    const FisherBlocks blocks{
        config.integer("block", 64, at_least(1),
                       "consecutive remaining weights of a tensor whose covariances are used"),
        // Less is lost to rounding, since the inverse starts with 1 / damping on its diagonal.
        config.number("damping", 1e-5, at_least(1e-10), "added to the diagonal of the Fisher matrix"),
        config.flag("update", false, "an event moves the remaining weights so that the loss rises least")};
    return std::make_unique<Fisher>("WoodFisher", std::make_unique<Curvature>(micro_batches, blocks));
}

}  // namespace pruntrain
