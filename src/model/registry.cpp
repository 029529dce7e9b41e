// The layers and losses by name. To add one: write layer_NAME.cpp (loss_NAME.cpp) with make_NAME, and a line here.
#include "pruntrain/model/layer.hpp"
#include "pruntrain/model/loss.hpp"

// clang-format off
#define LAYERS(member)                                                        \
    member(average_pool2d, false, "mean of each window of an image")                 \
    member(batch_norm, false, "each feature or channel to mean 0 and deviation 1")   \
    member(conv2d, true, "a trained window moved over an image")                    \
    member(dense, true, "every output from every input")                            \
    member(dropout, false, "random inputs become 0 in training")                     \
    member(flatten, false, "an image becomes a vector")                              \
    member(max_pool2d, false, "largest of each window of an image")                  \
    member(relu, false, "max(x, 0)")                                                 \
    /* End. */

#define LOSSES(member)                                                        \
    member(cross_entropy, "softmax and negative log-likelihood of the class") \
    member(mean_squared_error, "mean of the squared differences")             \
    /* End. */
// clang-format on

namespace pruntrain {

#define DECLARE_LAYER(name, mixes_channels, meaning) std::unique_ptr<Layer> make_##name(const Config&, LayerPlace);
#define DECLARE_LOSS(name, meaning) std::unique_ptr<Loss> make_##name(const Config&);
#define LIST_LAYER(name, mixes_channels, meaning) {#name, {make_##name, mixes_channels}, meaning},
#define LIST(name, meaning) {#name, make_##name, meaning},

LAYERS(DECLARE_LAYER)
LOSSES(DECLARE_LOSS)

const Registry<LayerFactory>& layers() {
    static const Registry<LayerFactory> registry("layer", {LAYERS(LIST_LAYER)});
    return registry;
}

const Registry<LossFactory>& losses() {
    static const Registry<LossFactory> registry("loss", {LOSSES(LIST)});
    return registry;
}

}  // namespace pruntrain
