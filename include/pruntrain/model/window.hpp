// The common part of layers that move a window over an image: convolution and pooling.
#pragma once

#include <string>

#include "pruntrain/math/im2col.hpp"
#include "pruntrain/model/layer.hpp"

namespace pruntrain {

/// The output shape of a layer with so many channels.
/// @throws InputError with layer and sizes if the input is no image, or is smaller than the window
Shape windowed_shape(const LayerPlace& place, const std::string& type, const Window& window, index_t channels);

/// The keys `kernel` and `stride` of a pooling.
Window read_pooling_window(const Config& config);

}  // namespace pruntrain
