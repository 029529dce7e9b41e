#include "pruntrain/math/padded_image.hpp"

#include <algorithm>

namespace pruntrain {

namespace {

constexpr index_t line = 64 / sizeof(real);

/// The smallest odd number of cache lines that holds so many elements.
index_t odd_lines(index_t numbers) { return ((numbers + line - 1) / line | 1) * line; }

}  // namespace

PaddedImage::PaddedImage(const Shape& image, index_t top, index_t left, index_t rows, index_t columns, index_t stride,
                         index_t width)
    : image_(image),
      top_(top),
      left_(left),
      stride_(stride),
      width_(width),
      phase_columns_((columns + stride - 1) / stride),
      row_stride_(odd_lines(stride * phase_columns_ * width)),
      channel_stride_(odd_lines(rows * row_stride_)) {}

void PaddedImage::fill(const real* x, real* padded) const {
    const index_t row_numbers = image_.columns * width_;
    for (index_t c = 0; c < image_.channels; ++c)
        for (index_t i = 0; i < image_.rows; ++i, x += row_numbers) {
            real* const row = padded + c * channel_stride_;
            if (stride_ == 1) std::copy_n(x, row_numbers, row + offset(i + top_, left_));
            else
                for (index_t j = 0; j < image_.columns; ++j)
                    std::copy_n(x + j * width_, width_, row + offset(i + top_, j + left_));
        }
}

}  // namespace pruntrain
