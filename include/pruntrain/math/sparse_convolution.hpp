// Convolution with a sparse weight, without im2col. A block of the sparse kernels is an output pixel of a tile, or a
// few pixels of a narrow tile. An entry W[o,c,i,j] reads its inputs at a precomputed offset (direct sparse convolution,
// Park et al. 2017, "Faster CNNs with direct sparse convolutions and guided pruning"). Here it is used for training: it
// includes backward, and the sample index is innermost.
#pragma once

#include <span>
#include <vector>

#include "pruntrain/math/im2col.hpp"
#include "pruntrain/math/padded_image.hpp"
#include "pruntrain/math/sparse_plan.hpp"
#include "pruntrain/math/tile.hpp"

namespace pruntrain {

class SparseConvolution {
   public:
    SparseConvolution(const Shape& input, const Shape& output, const Window& window)
        : input_(input), output_(output), window_(window) {}

    /// The plan for y and dW. @param pattern  (O, C*k*k)
    SparseEntries plan_outputs(const Pattern& pattern, index_t width) const;
    /// The plans for dx: one per class of input pixels that meet the same window taps; there are stride^2 classes.
    std::vector<TransposedEntries> plan_inputs(const Pattern& pattern, index_t width) const;

    /// y (tile, O, pixel, T) = bias + W * x (tile, C, pixel, T). @param bias  O elements, or null
    void multiply(const SparseEntries& plan, const real* values, const real* bias, const Tiling& tiling, const real* x,
                  real* y);
    /// g = the gradient of the packed values. @param db  the gradient of the bias, O elements, or empty: not computed
    void gradient(const SparseEntries& plan, const Tiling& tiling, const real* x, const real* dy, std::span<real> g,
                  std::span<real> db);
    /// dx = the gradient of x. Overwrites all of it.
    void input_gradient(std::span<const TransposedEntries> plans, const Tiling& tiling, const real* dy, real* dx);

    std::size_t held_bytes() const { return (padded_x_.size() + padded_dy_.size()) * sizeof(real); }

   private:
    /// Calls work(offset of a block's inputs, the layout of its outputs, index of its first output) for all blocks.
    template <class Work>
    void for_each_block(const Tiling& tiling, const real* x, Work work);

    PaddedImage layout_of_x(index_t width) const;
    PaddedImage layout_of_dy(index_t width) const;

    Shape input_, output_;
    Window window_;
    AlignedVector<real> padded_x_, padded_dy_;  ///< of one tile; zero-padded
};

}  // namespace pruntrain
