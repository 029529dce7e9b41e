// Optimizers and learning-rate schedules by name. To add one: write its file with make_NAME, and a line here.
#include "pruntrain/optim/learning_rate.hpp"
#include "pruntrain/optim/optimizer.hpp"

#define OPTIMIZERS(member)                                                                                        \
    member(adam, "adaptive moments, L2 decay in the gradient") member(adamw, "adaptive moments, decoupled decay") \
        member(sgd, "gradient descent with momentum") /* End. */

#define RATE_SHAPES(member)                                                                            \
    member(constant, "one rate throughout") member(cosine, "half a cosine down to the final fraction") \
        member(step, "falls by a factor every so many epochs") /* End. */

namespace pruntrain {

#define DECLARE_OPTIMIZER(name, meaning) std::unique_ptr<Optimizer> make_##name(const Config&);
#define DECLARE_RATE_SHAPE(name, meaning) std::unique_ptr<RateShape> make_##name(const Config&);
#define LIST(name, meaning) {#name, make_##name, meaning},

OPTIMIZERS(DECLARE_OPTIMIZER)
RATE_SHAPES(DECLARE_RATE_SHAPE)

const Registry<OptimizerFactory>& optimizers() {
    static const Registry<OptimizerFactory> registry("optimizer", {OPTIMIZERS(LIST)});
    return registry;
}

const Registry<RateShapeFactory>& rate_shapes() {
    static const Registry<RateShapeFactory> registry("learning-rate schedule", {RATE_SHAPES(LIST)});
    return registry;
}

}  // namespace pruntrain
