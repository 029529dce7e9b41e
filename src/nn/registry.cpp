// The layers and losses by name. To add one: write layer_NAME.cpp (loss_NAME.cpp) with make_NAME, and a line here.
#include "pruntrain/nn/layer.hpp"
#include "pruntrain/nn/loss.hpp"

#define LAYERS(member)                                                       \
    member(dense, "every output from every input") member(relu, "max(x, 0)") \
        member(flatten, "an image becomes a vector") /* End. */

#define LOSSES(member)                                                        \
    member(cross_entropy, "softmax and negative log-likelihood of the class") \
        member(mean_squared_error, "mean of the squared differences") /* End. */

namespace pruntrain {

#define DECLARE_LAYER(name, meaning) std::unique_ptr<Layer> make_##name(const Config&, LayerPlace);
#define DECLARE_LOSS(name, meaning) std::unique_ptr<Loss> make_##name(const Config&);
#define LIST(name, meaning) {#name, make_##name, meaning},

LAYERS(DECLARE_LAYER)
LOSSES(DECLARE_LOSS)

const Registry<LayerFactory>& layers() {
    static const Registry<LayerFactory> registry("layer", {LAYERS(LIST)});
    return registry;
}

const Registry<LossFactory>& losses() {
    static const Registry<LossFactory> registry("loss", {LOSSES(LIST)});
    return registry;
}

}  // namespace pruntrain
