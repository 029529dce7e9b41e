// Mean of each window: y[c,r,q] = 1/k^2 sum over i,j of x[c, r*stride + i, q*stride + j]. Backward adds dy / k^2 to
// each pixel of the window.
#include "pruntrain/model/pooling.hpp"

namespace pruntrain {

namespace {

/// mean (T) of one window whose first pixel is x.
inline void average(index_t kernel, index_t row, index_t width, real share, const real* x, real* __restrict mean) {
    for (index_t lane = 0; lane < width; ++lane) mean[lane] = 0;
    for (index_t i = 0; i < kernel; ++i)
        for (index_t j = 0; j < kernel; ++j)
            for (index_t lane = 0; lane < width; ++lane) mean[lane] += share * x[i * row + j * width + lane];
}

/// dx (T of each pixel of one window) is set to, or increased by, share * dy.
inline void give_shares(index_t kernel, index_t row, index_t width, bool set, real share, const real* dy,
                        real* __restrict dx) {
    for (index_t i = 0; i < kernel; ++i)
        for (index_t j = 0; j < kernel; ++j) {
            real* const line = dx + i * row + j * width;
            if (set)
                for (index_t lane = 0; lane < width; ++lane) line[lane] = share * dy[lane];
            else
                for (index_t lane = 0; lane < width; ++lane) line[lane] += share * dy[lane];
        }
}

real share_of(const Window& window) { return real{1} / static_cast<real>(window.kernel * window.kernel); }

PRUNTRAIN_VECTORIZED
void average_pool(const PoolingWindows& windows, const real* x, real* y, std::uint8_t*) {
    const index_t kernel = windows.window.kernel, width = windows.width, row = windows.columns * width;
    const real share = share_of(windows.window);
    for_each_window(windows,
                    [&](index_t corner, index_t place) { average(kernel, row, width, share, x + corner, y + place); });
}

PRUNTRAIN_VECTORIZED
void average_pool_gradient(const PoolingWindows& windows, const real* dy, const std::uint8_t*, real* dx) {
    const index_t kernel = windows.window.kernel, width = windows.width, row = windows.columns * width;
    const real share = share_of(windows.window);
    const bool set = windows.tile_the_plane();
    for_each_window(windows, [&](index_t corner, index_t place) PRUNTRAIN_INLINED {
        give_shares(kernel, row, width, set, share, dy + place, dx + corner);
    });
}

}  // namespace

std::unique_ptr<Layer> make_average_pool2d(const Config& config, LayerPlace place) {
    return make_pooling(config, std::move(place), {"average_pool2d", false, average_pool, average_pool_gradient});
}

}  // namespace pruntrain
