// The layers and losses by name. To add one: write layers/NAME.cpp (losses/NAME.cpp) with make_NAME, and a line here.
#include "pruntrain/model/layer.hpp"
#include "pruntrain/model/loss.hpp"

// clang-format off
#define LAYERS(member)                                                        \
    member(average_pool2d, Mixing::none, "mean of each window of an image")                 \
    member(batch_norm, Mixing::none, "each feature or channel to mean 0 and deviation 1")   \
    member(conv2d, Mixing::linear, "a trained window moved over an image")                    \
    member(dense, Mixing::linear, "every output from every input")                            \
    member(dropout, Mixing::none, "random inputs become 0 in training")                     \
    member(flatten, Mixing::none, "an image becomes a vector")                              \
    member(max_pool2d, Mixing::none, "largest of each window of an image")                  \
    member(relu, Mixing::none, "max(x, 0)")                                                 \
    /* End. */

#define LOSSES(member)                                                        \
    member(cross_entropy, "softmax and negative log-likelihood of the class") \
    member(mean_squared_error, "mean of the squared differences")             \
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
