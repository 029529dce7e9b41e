// Layers and losses by name. To add one, write layers/NAME.cpp (losses/NAME.cpp) with make_NAME, and add a line here.
#include "pruntrain/model/layer.hpp"
#include "pruntrain/model/loss.hpp"

// clang-format off
#define LAYERS(member)                                                        \
    member(average_pool2d, Mixing::none, "2-D average pooling")                 \
    member(batch_norm, Mixing::none, "batch normalization: each feature or channel to mean 0 and std 1")   \
    member(conv2d, Mixing::linear, "2-D convolution")                    \
    member(dense, Mixing::linear, "fully connected layer")                            \
    member(dropout, Mixing::none, "sets random inputs to 0 in training")                     \
    member(flatten, Mixing::none, "reshapes an image to a vector")                              \
    member(max_pool2d, Mixing::none, "2-D max pooling")                  \
    member(relu, Mixing::none, "rectified linear unit, max(x, 0)")                                                 \
    /* End. */

#define LOSSES(member)                                                        \
    member(binary_cross_entropy, "cross entropy of two classes with one output, a logit") \
    member(cross_entropy, "softmax cross entropy of the class label, or of probabilities of the classes") \
    member(mean_squared_error, "mean of the squared errors")             \
    /* End. */
// clang-format on

namespace pruntrain {

#define DECLARE_LAYER(name, mixing, meaning) std::unique_ptr<Layer> make_##name(const Config&, LayerPlace);
#define DECLARE_LOSS(name, meaning) std::unique_ptr<Loss> make_##name(const Config&);
#define LIST_LAYER(name, mixing, meaning) {#name, {make_##name, mixing}, meaning},
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
