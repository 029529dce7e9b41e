// Largest of each window: y[c,r,q] = max over i,j of x[c, r*stride + i, q*stride + j], a NaN if there is one. Forward
// remembers which pixel of the window it took, the first largest in row-major order; backward gives dy to that one.
#include "pruntrain/nn/pooling.hpp"

namespace pruntrain {

namespace {

// While they are compared, choices are as wide as numbers, so that all loops are vector loops at any tile width T.
using Choices = std::int32_t[widest_tile];

/// The largest (T) of one window whose first pixel is x, and which it is.
inline void choose_largest(index_t kernel, index_t row, index_t width, const real* x, real* __restrict largest,
                           std::int32_t* __restrict choice) {
    for (index_t lane = 0; lane < width; ++lane) {
        largest[lane] = x[lane];
        choice[lane] = 0;
    }
    for (index_t i = 0; i < kernel; ++i)
        for (index_t j = 0; j < kernel; ++j) {
            const real* const line = x + i * row + j * width;
            const auto pixel = static_cast<std::int32_t>(i * kernel + j);
            for (index_t lane = 0; lane < width; ++lane) {
                const bool taken = (line[lane] > largest[lane]) | (line[lane] != line[lane]);
                largest[lane] = taken ? line[lane] : largest[lane];
                choice[lane] = taken ? pixel : choice[lane];
            }
        }
}

/// The same for a window of 2x2, the usual one: in one sweep twice as fast.
inline void choose_largest_of_four(index_t row, index_t width, const real* x, real* __restrict largest,
                                   std::int32_t* __restrict choice) {
    for (index_t lane = 0; lane < width; ++lane) {
        real chosen = x[lane];
        std::int32_t pixel = 0;
        const auto compare = [&](real other, std::int32_t its_pixel) {
            const bool taken = (other > chosen) | (other != other);
            chosen = taken ? other : chosen;
            pixel = taken ? its_pixel : pixel;
        };
        compare(x[width + lane], 1);
        compare(x[row + lane], 2);
        compare(x[row + width + lane], 3);
        largest[lane] = chosen;
        choice[lane] = pixel;
    }
}

PRUNTRAIN_VECTORIZED
void max_pool(const PoolingWindows& windows, const real* x, real* y, std::uint8_t* choices) {
    const index_t kernel = windows.window.kernel, width = windows.width, row = windows.columns * width;
    Choices choice;
    for_each_window(windows, [&](index_t corner, index_t place) {
        if (kernel == 2) choose_largest_of_four(row, width, x + corner, y + place, choice);
        else choose_largest(kernel, row, width, x + corner, y + place, choice);
        for (index_t lane = 0; lane < width; ++lane) choices[place + lane] = static_cast<std::uint8_t>(choice[lane]);
    });
}

/// dx (T of each pixel of one window) is set to, or increased by, dy at the chosen pixel and 0 at the others.
inline void give_to_chosen(index_t kernel, index_t row, index_t width, bool set, const real* dy,
                           const std::int32_t* choice, real* __restrict dx) {
    for (index_t i = 0; i < kernel; ++i)
        for (index_t j = 0; j < kernel; ++j) {
            real* const line = dx + i * row + j * width;
            const auto pixel = static_cast<std::int32_t>(i * kernel + j);
            if (set)
                for (index_t lane = 0; lane < width; ++lane) line[lane] = choice[lane] == pixel ? dy[lane] : real{0};
            else
                for (index_t lane = 0; lane < width; ++lane) line[lane] += choice[lane] == pixel ? dy[lane] : real{0};
        }
}

PRUNTRAIN_VECTORIZED
void max_pool_gradient(const PoolingWindows& windows, const real* dy, const std::uint8_t* choices, real* dx) {
    const index_t kernel = windows.window.kernel, width = windows.width, row = windows.columns * width;
    const bool set = windows.tile_the_plane();
    Choices choice;
    for_each_window(windows, [&](index_t corner, index_t place) {
        for (index_t lane = 0; lane < width; ++lane) choice[lane] = choices[place + lane];
        give_to_chosen(kernel, row, width, set, dy + place, choice, dx + corner);
    });
}

}  // namespace

std::unique_ptr<Layer> make_max_pool2d(const Config& config, LayerPlace place) {
    return make_pooling(config, std::move(place), {"max_pool2d", true, max_pool, max_pool_gradient});
}

}  // namespace pruntrain
