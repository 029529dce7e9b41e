// The weight of a dense or convolution layer, as the matrix that BLAS or the sparse kernels multiply.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "pruntrain/base/range.hpp"
#include "pruntrain/math/sparse_plan.hpp"
#include "pruntrain/model/parameter.hpp"

namespace pruntrain {

/// How a layer multiplies by a partly pruned weight.
enum class Execution : std::uint8_t {
    dense,   ///< unpacked to a matrix, by BLAS: cost of the dense layer
    sparse,  ///< by the sparse kernels: cost of the non-zeros
};

/// A packed weight and its conversion to and from a dense matrix. Without pruning the packed values are the matrix.
/// Otherwise they are unpacked into a zero-filled matrix of this object, and the gradient is gathered from scratch
/// memory.
class WeightMatrix {
   public:
    /// @param rows, columns  of the tensor that this shard holds
    WeightMatrix(Block rows, Block columns, std::vector<index_t> tensor_shape, bool prunable, Initializer initializer,
                 index_t fan_in, index_t fan_out);

    Parameter& parameter() { return parameter_; }
    const Parameter& parameter() const { return parameter_; }

    /// Fraction of the weights that remain.
    double density() const {
        return static_cast<double>(parameter_.pattern.kept()) / static_cast<double>(parameter_.pattern.dense_size());
    }

    Execution execution() const { return execution_; }
    /// Selects an execution and frees the data of the other one.
    void execute(Execution execution);
    bool sparse() const { return execution_ == Execution::sparse; }

    /// The plans of sparse execution for tiles of `width`. `make` builds them if pattern or width have changed.
    using MakeRows = std::function<SparseEntries(const Pattern&)>;
    using MakeColumns = std::function<std::vector<TransposedEntries>(const Pattern&)>;
    const SparseEntries& row_plan(index_t width, const MakeRows& make);
    /// The column plans with the current values.
    std::span<const TransposedEntries> column_plans(index_t width, const MakeColumns& make);

    /// (rows, columns) of the current values; valid until they change.
    const real* unpacked();
    /// The same matrix, for the backward of the step whose forward has unpacked it.
    const real* unpacked_by_forward() const;

    /// Where a layer writes its dense gradient: the packed gradient itself, or `workspace`.
    real* gradient_scratch(std::span<real> packed, std::span<real> workspace) const;
    /// Copies the non-zero positions of the dense gradient into the packed gradient.
    void gather_gradient(const real* gradient, std::span<real> packed) const;

    index_t workspace_size() const;  ///< number of elements
    std::size_t held_bytes() const;

   private:
    /// The state that cached data was made for.
    struct Made {
        index_t width = 0;
        index_t kept = -1;
        index_t pattern_changes = 0;
        friend bool operator==(const Made&, const Made&) = default;
    };
    /// @param width  tile width, where it matters
    Made made_now(index_t width = 0) const { return {width, parameter_.pattern.kept(), parameter_.pattern_changes}; }

    Parameter parameter_;
    Execution execution_ = Execution::dense;
    AlignedVector<real> dense_;
    SparseEntries rows_;
    std::vector<TransposedEntries> columns_;
    Made dense_made_, rows_made_, columns_made_;
};

/// A trained vector of a layer: a bias, or batch-norm's scale.
/// @param own  the part of its `size` elements that this shard holds
Parameter make_vector_parameter(std::string name, Block own, index_t size, Initializer initializer);

/// The bias of a dense or convolution layer, its second parameter; optional.
class Bias {
   public:
    Bias() = default;  ///< none
    /// @param own      the part of the `size` outputs whose bias this shard holds
    /// @param outputs  that the layer computes here: `own`, or all outputs if it computes partial sums
    Bias(Block own, index_t size, Block outputs);

    bool given() const { return !parameter_.name.empty(); }
    Parameter& parameter() { return parameter_; }

    /// @param constants  for each own output @return false if there is no bias
    bool add(std::span<const double> constants);

    /// For each output here; 0 where another shard adds it. Empty: no bias. Valid until `gradient`.
    std::span<const real> values();
    /// Where the layer writes the gradient of each output here: the packed gradient itself if these are the own
    /// outputs. Empty: no bias.
    std::span<real> gradient_scratch(Gradients gradients);
    /// Copies the gradient scratch into the packed gradient.
    void gather_gradient(Gradients gradients) const;

   private:
    Parameter parameter_;
    index_t before_ = 0;              ///< number of outputs here before the own ones
    AlignedVector<real> of_outputs_;  ///< empty if these are the own outputs
};

}  // namespace pruntrain
