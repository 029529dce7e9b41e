// The weight of a dense or convolution layer, as the matrix that BLAS multiplies.
#pragma once

#include <span>
#include <vector>

#include "pruntrain/nn/parameter.hpp"

namespace pruntrain {

/// A packed weight and its way to and from a dense matrix. While nothing is pruned the packed values are the matrix;
/// then they are unpacked into a matrix of zeros that this object holds, and the gradient is gathered from scratch.
class WeightMatrix {
   public:
    WeightMatrix(index_t rows, index_t columns, std::vector<index_t> tensor_shape, bool prunable,
                 Initializer initializer, index_t fan_in, index_t fan_out);

    Parameter& parameter() { return parameter_; }

    /// (rows, columns) of the present values; valid until they change.
    const real* unpacked();
    /// The same matrix again, for the backward of the step whose forward has unpacked it.
    const real* unpacked_by_forward() const;

    /// Where a layer writes its dense gradient: the packed gradient itself, or `workspace`.
    real* gradient_scratch(std::span<real> workspace);
    /// Moves the kept positions of what was written there into the packed gradient.
    void gather_gradient(const real* gradient);

    index_t workspace_size() const;  ///< numbers
    std::size_t held_bytes() const;

   private:
    Parameter parameter_;
    AlignedVector<real> dense_;
    index_t dense_kept_ = -1;  ///< kept positions when `dense_` was cleared: patterns only shrink
};

/// A trained vector of a layer: a bias, batch-norm's scale.
Parameter make_vector_parameter(std::string name, index_t size, Initializer initializer);

}  // namespace pruntrain
