// A trained tensor: a pattern and packed values, stored in one arena with all other tensors.
#pragma once

#include <cstdint>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/types.hpp"
#include "pruntrain/math/pattern.hpp"

namespace pruntrain {

/// Distribution of the initial values of a parameter.
enum class Initializer {
    zeros,
    ones,
    he_normal,       ///< std sqrt(2 / inputs) (He et al. 2015)
    he_uniform,      ///< +- sqrt(6 / inputs)
    glorot_normal,   ///< std sqrt(2 / (inputs + outputs)) (Glorot & Bengio 2010)
    glorot_uniform,  ///< +- sqrt(6 / (inputs + outputs))
};

/// Where a layer writes the gradients of its parameters, in the order of `Layer::parameters()`, packed like them.
using Gradients = std::span<const std::span<real>>;

/// Name of the batch-norm parameter that multiplies the channels.
inline const std::string scale_name = "scale";

/// Number of elements of a tensor of this shape.
inline index_t size_of(std::span<const index_t> shape) {
    return std::accumulate(shape.begin(), shape.end(), index_t{1}, std::multiplies());
}

/// One trained tensor as a matrix: rows = outputs, columns = inputs. A convolution (O,C,kh,kw) is (O, C*kh*kw), a
/// vector is one column. Values, gradients and optimizer state are packed: one element per non-zero of the pattern.
// Large because it is plain data: everything that is known of one tensor.
struct Parameter {
    std::string layer;                  ///< "dense1"
    std::string name;                   ///< "weight"
    std::vector<index_t> tensor_shape;  ///< as seen by users: (O,C,kh,kw), (M,K), (M)
    std::vector<index_t> full_shape;    ///< tensor_shape before physical compaction
    Pattern pattern;                    ///< of the rows and columns in this rank's model shard
    index_t first_row = 0;              ///< index of the shard's first row in the tensor
    index_t first_column = 0;           ///< index of its first column; a shard holds all rows or all columns
    bool prunable = false;
    bool decayed = false;  ///< true if weight decay applies: to weights, not to biases and batch-norm
    Initializer initializer = Initializer::zeros;
    index_t fan_in = 1;   ///< inputs per output
    index_t fan_out = 1;  ///< outputs per input

    /// Set by Network: index of the tensor's first element in the model. Indices run from the first layer to the last,
    /// row by row, over all elements, pruned or not. They never change.
    weight_number_t first_number = 0;

    /// Set by Arena: number of earlier patterns, so that data made for an old pattern is recognized.
    index_t pattern_changes = 0;

    /// Set by Arena: the packed values and gradient. Valid until the next prune event; the gradient also only until
    /// Arena::place_gradients.
    std::span<real> value;
    std::span<real> gradient;

    /// Number of elements of the whole tensor, over all shards.
    index_t tensor_size() const { return size_of(tensor_shape); }
    index_t full_size() const { return size_of(full_shape); }
    index_t tensor_columns() const { return tensor_size() / tensor_shape[0]; }
    bool has_all_columns() const { return pattern.columns() == tensor_columns(); }
    std::string full_name() const { return layer + "." + name; }

    /// Calls work(packed position, element index in the model) for the packed positions first .. last - 1.
    template <class Work>
    void for_each_number(index_t first, index_t last, Work work) const {
        const index_t own = pattern.columns(), all = tensor_columns();
        const weight_number_t begin = first_number + static_cast<weight_number_t>(first_row * all + first_column);
        pattern.for_each_position(first, last, [&](index_t k, index_t position) {
            const index_t skipped = own == all ? 0 : position / own * (all - own);  // columns of other shards
            work(k, begin + static_cast<weight_number_t>(position + skipped));
        });
    }
    template <class Work>
    void for_each_number(Work work) const {
        for_each_number(0, pattern.kept(), work);
    }
};

}  // namespace pruntrain
