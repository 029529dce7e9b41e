// How the samples of a rank lie in memory. Shape letters: N samples, C channels, H rows, W columns, T tile width.
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

/// Samples of one rank, cut in tiles of `width` samples. An array of `features` numbers a sample is stored as
/// (tile, feature, sample), sample innermost, the last tile padded to full width: a loop over samples has unit stride
/// and a constant trip count. Padding lanes: activations there are finite but mean nothing, gradients there are exactly
/// 0.
struct Tiling {
    index_t samples = 0;  ///< may be 0: more ranks than samples in a short batch
    index_t width = 8;    ///< T

    index_t tiles() const { return (samples + width - 1) / width; }
    /// Samples in a tile that are real.
    index_t lanes(index_t tile) const { return std::min(width, samples - tile * width); }
    /// Numbers in an array of `features` numbers a sample, padding included.
    index_t size(index_t features) const { return tiles() * features * width; }
};

constexpr index_t widest_tile = 128;  ///< samples

/// T of the layers that see images, and of those that see flat vectors.
struct TileWidths {
    index_t image = 8;
    index_t flat = 8;
};

/// For up to `samples` samples a rank: the widest of `widest_flat`, half of it, .., 8 that pads no more than a quarter.
/// For flat vectors 64 makes wide enough products for BLAS (within 5 % of one product over the batch). Images have
/// their pixels beside: 16 samples are wide enough for both, and the inputs of a few pixels of all channels stay in the
/// first-level cache.
inline TileWidths tile_widths(index_t samples, index_t widest_flat = 64) {
    constexpr index_t widest_image_tile = 16;
    index_t width = widest_flat;
    while (width > 8 && 4 * Tiling{samples, width}.size(1) > 5 * samples) width /= 2;
    return {std::min(width, widest_image_tile), width};
}

/// The same samples in tiles of another width: y (tile, feature, sample) from x. Padding lanes that x has are copied,
/// further ones become 0.
void retile(index_t features, const Tiling& from, const real* x, index_t width, real* y);

}  // namespace pruntrain
