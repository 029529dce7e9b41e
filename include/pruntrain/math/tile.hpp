// Memory layout of the samples of a rank. Shape letters: N samples, C channels, H rows, W columns, T tile width.
#pragma once

#include <algorithm>
#include <array>
#include <string>

#include "pruntrain/base/text.hpp"
#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// The features of one sample: channels x rows x columns. A flat vector of n features is {n, 1, 1}.
struct Shape {
    index_t channels = 1;
    index_t rows = 1;
    index_t columns = 1;

    index_t size() const { return channels * rows * columns; }
    index_t pixels() const { return rows * columns; }
    bool flat() const { return rows == 1 && columns == 1; }
    std::string describe() const {
        return flat() ? std::to_string(channels) : crossed(std::array{channels, rows, columns});
    }
    friend bool operator==(const Shape&, const Shape&) = default;
};

/// Samples of one rank, divided into tiles of `width` samples. An array with `features` elements per sample is stored
/// as (tile, feature, sample), sample innermost, the last tile padded to full width. So a loop over samples has unit
/// stride and a constant trip count. In padding lanes activations are finite but meaningless, and gradients are exactly
/// 0.
struct Tiling {
    index_t samples = 0;  ///< may be 0, if a short batch has fewer samples than ranks
    index_t width = 8;    ///< T

    index_t tiles() const { return (samples + width - 1) / width; }
    /// Samples in a tile without padding.
    index_t lanes(index_t tile) const { return std::min(width, samples - tile * width); }
    /// Elements of an array with `features` elements per sample, padding included.
    index_t size(index_t features) const { return tiles() * features * width; }
};

constexpr index_t widest_tile = 128;  ///< in samples

/// T of the layers with image inputs, and of those with flat inputs.
struct TileWidths {
    index_t image = 8;
    index_t flat = 8;
};

/// For up to `samples` samples per rank: the widest of `widest_flat`, half of it, .., 8 that pads no more than a
/// quarter. For flat vectors, 64 makes products wide enough for BLAS (within 5 % of one product over the batch). Images
/// also have pixels: 16 samples are wide enough, and the inputs of a few pixels of all channels stay in the L1 cache.
inline TileWidths tile_widths(index_t samples, index_t widest_flat = 64) {
    constexpr index_t widest_image_tile = 16;
    index_t width = widest_flat;
    while (width > 8 && 4 * Tiling{samples, width}.size(1) > 5 * samples) width /= 2;
    return {std::min(width, widest_image_tile), width};
}

/// The same samples in tiles of another width: y (tile, feature, sample) from x. Padding lanes of x are copied,
/// additional ones become 0.
void retile(index_t features, const Tiling& from, const real* x, index_t width, real* y);

}  // namespace pruntrain
