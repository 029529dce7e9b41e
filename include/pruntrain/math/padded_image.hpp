// A copy of a tile's images for the sparse kernels: with zeros around, and so laid out that the inputs of neighbouring
// output pixels lie side by side.
#pragma once

#include "pruntrain/base/types.hpp"
#include "pruntrain/math/tile.hpp"

namespace pruntrain {

/// Number (c, i, j, t) is sample t of pixel (i - top, j - left) of channel c, or 0 outside the image. Columns
/// whose numbers are equal modulo `stride` stand together, so that the pixels that one window tap meets at neighbouring
/// output columns are neighbours. Rows and channels begin an odd number of cache lines apart: at a power of two they
/// would fight for a few sets of the first-level cache.
class PaddedImage {
   public:
    PaddedImage() = default;
    /// @param width  T of the tile
    PaddedImage(const Shape& image, index_t top, index_t left, index_t rows, index_t columns, index_t stride,
                index_t width);

    index_t size() const { return image_.channels * channel_stride_; }
    index_t channel_stride() const { return channel_stride_; }

    /// Where pixel (i, j) of channel 0 begins, padding counted.
    index_t offset(index_t i, index_t j) const {
        return i * row_stride_ + (j % stride_ * phase_columns_ + j / stride_) * width_;
    }

    /// Copies a tile x (channel, row, column, T). The zeros around must be there already: they are never written.
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
