#include "pruntrain/model/window.hpp"

#include <algorithm>

#include "pruntrain/model/shape_error.hpp"

namespace pruntrain {

Shape windowed_shape(const LayerPlace& place, const std::string& type, const Window& window, index_t channels) {
    const auto [kernel, stride, padding] = window;
    const Shape& input = place.input;
    if (input.flat())
        throw ShapeError(text("layer ", place.name, " (", type,
                              ") needs an image (channels x rows x columns), but its input is a vector of ",
                              input.describe(),
                              ": put it before {layer: flatten}, and use data with rows and columns"));
    if (kernel > std::min(input.rows, input.columns) + 2 * padding)
        throw ShapeError(text("layer ", place.name, " (", type, ") has a kernel of ", kernel, "x", kernel,
                              ", but its input with padding ", padding, " has only ", input.rows + 2 * padding, "x",
                              input.columns + 2 * padding,
                              " pixels: use a smaller kernel, or less stride and pooling before it"));
    return {channels, window.places(input.rows), window.places(input.columns)};
}

Window read_pooling_window(const Config& config) {
    const index_t kernel = config.integer("kernel", 2, at_least(1), "rows and columns of the pooling window");
    const index_t stride = config.integer("stride", kernel, at_least(1),
                                          "pixels between windows; default: kernel, so that windows do not overlap");
    return {kernel, stride, 0};
}

}  // namespace pruntrain
