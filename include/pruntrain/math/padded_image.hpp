// A zero-padded copy of a tile's images for the sparse kernels, in which the inputs of neighboring output pixels are
// contiguous.
#pragma once

#include "pruntrain/base/types.hpp"
#include "pruntrain/math/tile.hpp"

namespace pruntrain {

/// Element (c, i, j, t) is sample t of pixel (i - top, j - left) of channel c, or 0 outside the image. Columns with
/// equal index modulo `stride` are stored together. So the pixels that one window tap reads for neighboring output
/// columns are neighbors. Rows and channels are an odd number of cache lines apart, because a power of two would map
/// them to few sets of the L1 cache.
class PaddedImage {
   public:
    PaddedImage() = default;
    /// @param width  T of the tile
    PaddedImage(const Shape& image, index_t top, index_t left, index_t rows, index_t columns, index_t stride,
                index_t width);

    index_t size() const { return image_.channels * channel_stride_; }
    index_t channel_stride() const { return channel_stride_; }

    /// Offset of pixel (i, j) of channel 0, in padded coordinates.
    index_t offset(index_t i, index_t j) const {
        return i * row_stride_ + (j % stride_ * phase_columns_ + j / stride_) * width_;
    }

    /// Copies a tile x (channel, row, column, T). The padding must already be zero: it is never written.
    void fill(const real* x, real* padded) const;

   private:
    Shape image_;
    index_t top_ = 0, left_ = 0;
    index_t stride_ = 1;
    index_t width_ = 0;
    index_t phase_columns_ = 0;
    index_t row_stride_ = 0;
    index_t channel_stride_ = 0;
};

}  // namespace pruntrain
