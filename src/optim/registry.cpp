// Optimizers and learning-rate schedules by name. To add one: write its file with make_NAME, and a line here.
#include "pruntrain/optim/learning_rate.hpp"
#include "pruntrain/optim/optimizer.hpp"
#include "pruntrain/optim/regularizer.hpp"

#define OPTIMIZERS(member)                                                                                        \
    member(adam, "adaptive moments, L2 decay in the gradient") member(adamw, "adaptive moments, decoupled decay") \
        member(sgd, "gradient descent with momentum") /* End. */

#define RATE_SHAPES(member)                                                                            \
    member(constant, "one rate throughout") member(cosine, "half a cosine down to the final fraction") \
        member(step, "falls by a factor every so many epochs") /* End. */

// clang-format off
#define REGULARIZERS(member) \
    member(batch_norm_l1, "makes scales of batch-norm zero, so channels (network slimming)") \
    member(group_l2, "makes all weights of some rows zero") \
    member(l1, "makes single weights zero") \
    member(none, "weights stay as updated")
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
