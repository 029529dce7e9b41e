// The activations of units and channels, and sums of them.
#pragma once

#include <span>

#include "pruntrain/model/network.hpp"

namespace pruntrain {

/// The layer whose output is the activation of a layer's units: after batch-norm and layers that work in place (relu).
std::size_t activation_layer(Network& network, std::size_t layer);

enum class ActivationSum {
    absolute,  ///< of absolute activations
    active,    ///< the number of activations that are not 0
};

/// Sums over samples and pixels of a tiling.
/// @param activations  (tile, channel, pixel, sample)
/// @param before_relu  they are inputs of a relu, whose outputs count
/// @param sums  set: of each channel
void sum_activations(const Tiling& tiling, index_t pixels, const real* activations, bool before_relu, ActivationSum of,
                     std::span<double> sums);

}  // namespace pruntrain
