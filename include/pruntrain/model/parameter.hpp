// A trained tensor: a pattern plus packed values (decision D1), in one arena with all others (decision D2).
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

/// How a parameter gets its first values.
enum class Initializer {
    zeros,
    ones,
    he_normal,       ///< deviation sqrt(2 / inputs) (He et al. 2015)
    he_uniform,      ///< +- sqrt(6 / inputs)
    glorot_normal,   ///< deviation sqrt(2 / (inputs + outputs)) (Glorot & Bengio 2010)
    glorot_uniform,  ///< +- sqrt(6 / (inputs + outputs))
};

/// Where a layer sets the gradients of its parameters, in the order of `Layer::parameters()`: packed as they are.
using Gradients = std::span<const std::span<real>>;

/// Of a batch-norm, the parameter that multiplies its channels.
inline const std::string scale_name = "scale";

/// Numbers of a tensor of this shape.
inline index_t size_of(std::span<const index_t> shape) {
    return std::accumulate(shape.begin(), shape.end(), index_t{1}, std::multiplies());
}

/// One trained tensor as a matrix of rows = outputs, columns = inputs; a convolution (O,C,kh,kw) is (O, C*kh*kw), a
/// vector is one column. Value, gradient and optimizer slots are packed: one number for each kept position of the
/// pattern.
// Large because it is plain data: everything that is known of one tensor.
struct Parameter {
    std::string layer;                  ///< "dense1"
    std::string name;                   ///< "weight"
    std::vector<index_t> tensor_shape;  ///< as its users see it: (O,C,kh,kw), (M,K), (M)
    std::vector<index_t> full_shape;    ///< the same before units were removed from the network
    Pattern pattern;                    ///< of the rows and columns that this rank's shard of the model holds
    index_t first_row = 0;              ///< of the tensor's rows, the first of these
    index_t first_column = 0;           ///< and of its columns; a shard holds all rows or all columns
    bool prunable = false;
    bool decayed = false;  ///< weight decay applies: weights yes, biases and batch-norm no
    Initializer initializer = Initializer::zeros;
    index_t fan_in = 1;   ///< inputs of one output
    index_t fan_out = 1;  ///< outputs of one input

    /// Set by Network: where the numbers of the whole tensor begin in the model. Numbers run from the first layer to
    /// the last, row by row, over all parameters, pruned or not, so they never change.
    weight_number_t first_number = 0;

    /// Set by Arena: how many patterns came before the present one, so that what was made for one of them is told
    /// apart.
    index_t pattern_changes = 0;

    /// Set by Arena: where the packed numbers lie. Valid until the next prune event, the gradient also only until
    /// Arena::place_gradients.
    std::span<real> value;
    std::span<real> gradient;

    /// Numbers of the whole tensor, over all shards.
    index_t tensor_size() const { return size_of(tensor_shape); }
    index_t full_size() const { return size_of(full_shape); }
    index_t tensor_columns() const { return tensor_size() / tensor_shape[0]; }
    bool has_all_columns() const { return pattern.columns() == tensor_columns(); }
    std::string full_name() const { return layer + "." + name; }

    /// Calls work(packed position, number in the whole model) for the packed positions first .. last - 1.
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
