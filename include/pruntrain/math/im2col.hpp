// Convolution as a matrix product: the pixels under a window become a column (Chellapilla, Puri & Simard 2006, "High
// performance convolutional neural networks for document processing").
#pragma once

#include "pruntrain/base/types.hpp"
#include "pruntrain/math/tile.hpp"

namespace pruntrain {

/// A square window that moves over an image in steps of `stride`; the image is padded on all sides by `padding` zeros.
struct Window {
    index_t kernel = 1;  ///< rows and columns of the window
    index_t stride = 1;
    index_t padding = 0;

    index_t size() const { return kernel * kernel; }
    /// Number of window positions along `size` rows or columns, inside the padded image; a remainder is ignored.
    index_t places(index_t size) const { return (size + 2 * padding - kernel) / stride + 1; }
};

/// columns (C*k*k, count*T) from one tile x (C,H,W,T), for the output pixels first .. first+count-1 in row-major order:
/// columns[(c,i,j), (p,t)] = x[c, r*stride - padding + i, q*stride - padding + j, t], p the pixel (r,q); 0 outside.
void im2col(const Shape& image, const Window& window, index_t width, index_t first, index_t count, const real* x,
            real* columns);

/// The transpose of im2col: adds every element of `columns` to the element of dx (C,H,W,T) from which im2col reads it.
void col2im(const Shape& image, const Window& window, index_t width, index_t first, index_t count, const real* columns,
            real* dx);

}  // namespace pruntrain
