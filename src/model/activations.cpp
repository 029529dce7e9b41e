#include "pruntrain/model/activations.hpp"

#include <algorithm>
#include <cmath>

namespace pruntrain {

std::size_t activation_layer(Network& network, std::size_t layer) {
    if (network.layer(layer).computes_partial_sums()) ++layer;  // their sums
    const Shape shape = network.layer(layer).output_shape();
    while (layer + 1 < network.layer_count()) {
        const Layer& next = network.layer(layer + 1);
        if (next.output_shape() != shape || (next.in_place() == InPlace::never && next.channel_scale() == nullptr))
            break;
        ++layer;
    }
    return layer;
}

void sum_activations(const Tiling& tiling, index_t pixels, const real* activations, bool before_relu, ActivationSum of,
                     std::span<double> sums) {
    std::ranges::fill(sums, 0.0);
    for (index_t tile = 0; tile < tiling.tiles(); ++tile)
        for (double& sum : sums)
            for (index_t pixel = 0; pixel < pixels; ++pixel, activations += tiling.width)
                for (index_t lane = 0; lane < tiling.lanes(tile); ++lane) {
                    const real x = activations[lane];
                    const real active = before_relu ? std::max(x, real{0}) : std::abs(x);
                    sum += of == ActivationSum::active ? static_cast<double>(active != 0) : static_cast<double>(active);
                }
}

}  // namespace pruntrain
