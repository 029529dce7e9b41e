// Optimizers and learning-rate schedules by name. To add one, write its file with make_NAME, and add a line here.
#include "pruntrain/optim/learning_rate.hpp"
#include "pruntrain/optim/optimizer.hpp"
#include "pruntrain/optim/regularizer.hpp"

#define OPTIMIZERS(member)                                                                                          \
    member(adam, "Adam, weight decay as L2 term in the gradient") member(adamw, "Adam with decoupled weight decay") \
        member(sgd, "stochastic gradient descent with momentum") /* End. */

#define RATE_SHAPES(member)                                                                    \
    member(constant, "constant rate") member(cosine, "cosine annealing to the final fraction") \
        member(step, "decay by a factor at regular intervals") /* End. */

// clang-format off
#define REGULARIZERS(member) \
    member(batch_norm_l1, "L1 on batch-norm scales, zeroes channels (network slimming)") \
    member(group_l2, "group lasso, zeroes all weights of a row or column") \
    member(l1, "L1, zeroes single weights") \
    member(none, "no regularizer")
// clang-format on

namespace pruntrain {

#define DECLARE_OPTIMIZER(name, meaning) std::unique_ptr<Optimizer> make_##name(const Config&);
#define DECLARE_RATE_SHAPE(name, meaning) std::unique_ptr<RateShape> make_##name(const Config&);
#define DECLARE_REGULARIZER(name, meaning) std::unique_ptr<Regularizer> make_##name(const Config&);
#define LIST(name, meaning) {#name, make_##name, meaning},

OPTIMIZERS(DECLARE_OPTIMIZER)
RATE_SHAPES(DECLARE_RATE_SHAPE)
REGULARIZERS(DECLARE_REGULARIZER)

const Registry<OptimizerFactory>& optimizers() {
    static const Registry<OptimizerFactory> registry("optimizer", {OPTIMIZERS(LIST)});
    return registry;
}

const Registry<RegularizerFactory>& regularizers() {
    static const Registry<RegularizerFactory> registry("regularizer", {REGULARIZERS(LIST)});
    return registry;
}

const Registry<RateShapeFactory>& rate_shapes() {
    static const Registry<RateShapeFactory> registry("learning-rate schedule", {RATE_SHAPES(LIST)});
    return registry;
}

}  // namespace pruntrain
