// The layers and losses by name. To add one: write layer_NAME.cpp (loss_NAME.cpp) with make_NAME, and a line here.
#include "pruntrain/nn/layer.hpp"
#include "pruntrain/nn/loss.hpp"

// clang-format off
#define LAYERS(member)                                                        \
    member(average_pool2d, "mean of each window of an image")                 \
    member(batch_norm, "each feature or channel to mean 0 and deviation 1")   \
    member(conv2d, "a trained window moved over an image")                    \
    member(dense, "every output from every input")                            \
    member(dropout, "random inputs become 0 in training")                     \
    member(flatten, "an image becomes a vector")                              \
    member(max_pool2d, "largest of each window of an image")                  \
    member(relu, "max(x, 0)")                                                 \
    /* End. */

#define LOSSES(member)                                                        \
    member(cross_entropy, "softmax and negative log-likelihood of the class") \
    member(mean_squared_error, "mean of the squared differences")             \
    /* End. */
// clang-format on

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
