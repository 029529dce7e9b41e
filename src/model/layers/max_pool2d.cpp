// Maximum of each window: y[c,r,q] = max over i,j of x[c, r*stride + i, q*stride + j], a NaN if there is one. Forward
// records the index of the selected pixel, the first maximum in row-major order. Backward routes dy to that pixel.
#include "pruntrain/model/pooling.hpp"

namespace pruntrain {

namespace {

// Choices are compared in a type as wide as real and in pieces of a fixed number of lanes, so that all loops vectorize.

constexpr std::int32_t nothing = 255;  // the choice if no pixel is above 0 and the fused relu outputs 0

/// The maximum of one window, and its index, for some lanes whose first pixel is x.
template <index_t Lanes>
PRUNTRAIN_INLINED inline void choose_largest(index_t kernel, index_t row, index_t width, bool rectified, const real* x,
                                             real* __restrict largest, std::int32_t* __restrict choice) {
    for (index_t lane = 0; lane < Lanes; ++lane) {
        largest[lane] = rectified ? real{0} : x[lane];
        choice[lane] = rectified ? nothing : 0;
    }
    for (index_t i = 0; i < kernel; ++i)
        for (index_t j = 0; j < kernel; ++j) {
            const real* const line = x + i * row + j * width;
            const auto pixel = static_cast<std::int32_t>(i * kernel + j);
            for (index_t lane = 0; lane < Lanes; ++lane) {
                const bool taken = (line[lane] > largest[lane]) | (line[lane] != line[lane]);
                largest[lane] = taken ? line[lane] : largest[lane];
                choice[lane] = taken ? pixel : choice[lane];
            }
        }
}

/// The same for the common 2x2 window: one pass, 2x faster.
template <index_t Lanes>
PRUNTRAIN_INLINED inline void choose_largest_of_four(index_t row, index_t width, bool rectified, const real* x,
                                                     real* __restrict largest, std::int32_t* __restrict choice) {
    for (index_t lane = 0; lane < Lanes; ++lane) {
        real chosen = rectified ? real{0} : x[lane];
        std::int32_t pixel = rectified ? nothing : 0;
        const auto compare = [&](real other, std::int32_t its_pixel) {
            const bool taken = (other > chosen) | (other != other);
            chosen = taken ? other : chosen;
            pixel = taken ? its_pixel : pixel;
        };
        compare(x[lane], 0);
        compare(x[width + lane], 1);
        compare(x[row + lane], 2);
        compare(x[row + width + lane], 3);
        largest[lane] = chosen;
        choice[lane] = pixel;
    }
}

template <index_t Lanes>
PRUNTRAIN_INLINED inline void max_pool_in_pieces(const PoolingWindows& windows, const real* x, real* y,
                                                 std::uint8_t* choices) {
    const index_t kernel = windows.window.kernel, width = windows.width, row = windows.columns * width;
    const bool rectified = windows.rectified;
    for_each_window(windows, [&](index_t corner, index_t place) PRUNTRAIN_INLINED {
        for (index_t begin = 0; begin < width; begin += Lanes) {
            const real* const from = x + corner + begin;
            real largest[Lanes];
            std::int32_t choice[Lanes];
            if (kernel == 2) choose_largest_of_four<Lanes>(row, width, rectified, from, largest, choice);
            else choose_largest<Lanes>(kernel, row, width, rectified, from, largest, choice);
            for (index_t lane = 0; lane < Lanes; ++lane) y[place + begin + lane] = largest[lane];
            for (index_t lane = 0; lane < Lanes; ++lane)
                choices[place + begin + lane] = static_cast<std::uint8_t>(choice[lane]);
        }
    });
}

PRUNTRAIN_VECTORIZED
void max_pool(const PoolingWindows& windows, const real* x, real* y, std::uint8_t* choices) {
    if (windows.width % 16 == 0) max_pool_in_pieces<16>(windows, x, y, choices);
    else max_pool_in_pieces<8>(windows, x, y, choices);
}

/// dx (T of each pixel of one window) is set to, or increased by, dy at the selected pixel and 0 at the others.
PRUNTRAIN_INLINED inline void give_to_chosen(index_t kernel, index_t row, index_t width, bool set, const real* dy,
                                             const std::uint8_t* choices, real* __restrict dx) {
    std::int32_t choice[widest_tile];
    for (index_t lane = 0; lane < width; ++lane) choice[lane] = choices[lane];
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

/// The same for 2x2 windows that do not overlap.
template <index_t Lanes>
PRUNTRAIN_INLINED inline void give_to_chosen_of_four(index_t row, index_t width, const real* __restrict dy,
                                                     const std::uint8_t* __restrict choices, real* dx) {
    real* __restrict const first = dx;
    real* __restrict const second = dx + width;
    real* __restrict const third = dx + row;
    real* __restrict const fourth = dx + row + width;
    for (index_t lane = 0; lane < Lanes; ++lane) {
        const std::int32_t choice = choices[lane];
        const real slope = dy[lane];
        first[lane] = choice == 0 ? slope : real{0};
        second[lane] = choice == 1 ? slope : real{0};
        third[lane] = choice == 2 ? slope : real{0};
        fourth[lane] = choice == 3 ? slope : real{0};
    }
}

template <index_t Lanes>
PRUNTRAIN_INLINED inline void max_pool_gradient_in_pieces(const PoolingWindows& windows, const real* dy,
                                                          const std::uint8_t* choices, real* dx) {
    const index_t kernel = windows.window.kernel, width = windows.width, row = windows.columns * width;
    const bool set = windows.tile_the_plane();
    for_each_window(windows, [&](index_t corner, index_t place) PRUNTRAIN_INLINED {
        if (kernel == 2 && set)
            for (index_t begin = 0; begin < width; begin += Lanes)
                give_to_chosen_of_four<Lanes>(row, width, dy + place + begin, choices + place + begin,
                                              dx + corner + begin);
        else give_to_chosen(kernel, row, width, set, dy + place, choices + place, dx + corner);
    });
}

PRUNTRAIN_VECTORIZED
void max_pool_gradient(const PoolingWindows& windows, const real* dy, const std::uint8_t* choices, real* dx) {
    if (windows.width % 16 == 0) max_pool_gradient_in_pieces<16>(windows, dy, choices, dx);
    else max_pool_gradient_in_pieces<8>(windows, dy, choices, dx);
}

}  // namespace

std::unique_ptr<Layer> make_max_pool2d(const Config& config, LayerPlace place) {
    return make_pooling(config, std::move(place), {"max_pool2d", true, max_pool, max_pool_gradient});
}

}  // namespace pruntrain
