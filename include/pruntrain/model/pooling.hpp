// The common part of the pooling layers: everything but the arithmetic of one window.
#pragma once

#include <cstdint>
#include <memory>

#include "pruntrain/config/config.hpp"
#include "pruntrain/model/layer.hpp"
#include "pruntrain/model/window.hpp"

namespace pruntrain {

/// The pooling windows, in every channel of every tile. x and dx are (planes, rows, columns, T), y and dy (planes,
/// windows, T), planes = tiles x channels.
struct PoolingWindows {
    index_t planes;
    index_t rows, columns;  ///< of a plane of x
    Window window;          ///< without padding
    index_t width;          ///< T
    bool rectified;         ///< max(x, 0) is pooled instead of x (fused relu)

    /// True if every pixel lies in exactly one window.
    bool tile_the_plane() const {
        return window.stride == window.kernel && rows % window.kernel == 0 && columns % window.kernel == 0;
    }
};

/// Calls visit(offset of the window's first pixel in x, offset of its output in y), in memory order.
template <class Visit>
PRUNTRAIN_INLINED inline void for_each_window(const PoolingWindows& windows, Visit visit) {
    const auto [planes, rows, columns, window, width, rectified] = windows;
    const index_t output_rows = window.places(rows), output_columns = window.places(columns);
    index_t y = 0;
    for (index_t plane = 0; plane < planes; ++plane)
        for (index_t r = 0; r < output_rows; ++r)
            for (index_t q = 0; q < output_columns; ++q, y += width)
                visit(((plane * rows + r * window.stride) * columns + q * window.stride) * width, y);
}

/// One kind of pooling. `choices` (planes, windows, T) stores one byte per output of y for backward.
struct PoolingKernels {
    const char* type;   ///< "max_pool2d"
    bool with_choices;  ///< it selects one pixel of a window and can fuse a relu; false: `choices` is null
    void (*forward)(const PoolingWindows& windows, const real* x, real* y, std::uint8_t* choices);
    /// dx += the gradient. Where the windows tile the plane, dx = the gradient, whatever its old content.
    void (*backward)(const PoolingWindows& windows, const real* dy, const std::uint8_t* choices, real* dx);
};

std::unique_ptr<Layer> make_pooling(const Config& config, LayerPlace place, const PoolingKernels& kernels);

}  // namespace pruntrain
