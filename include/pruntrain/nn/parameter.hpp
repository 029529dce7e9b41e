// A trained tensor: a pattern plus packed values (decision D1), in one arena with all others (decision D2).
#pragma once

#include <cstdint>
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

/// One trained tensor as a matrix of rows = outputs, columns = inputs; a convolution (O,C,kh,kw) is (O, C*kh*kw), a
/// vector is one column. Value, gradient and optimizer slots are packed: one number for each kept position of the
/// pattern.
struct Parameter {
    std::string layer;                  ///< "dense1"
    std::string name;                   ///< "weight"
    std::vector<index_t> tensor_shape;  ///< as its users see it: (O,C,kh,kw), (M,K), (M)
    Pattern pattern;                    ///< of this shard's rows
    index_t first_row = 0;              ///< of the tensor's rows, the first that this rank's shard of the model holds
    bool prunable = false;
    bool decayed = false;  ///< weight decay applies: weights yes, biases and batch-norm no
    Initializer initializer = Initializer::zeros;
    index_t fan_in = 1;   ///< inputs of one output
    index_t fan_out = 1;  ///< outputs of one input

    /// Set by Network: dense position p of its pattern has the number first_number + p in the whole model. Numbers run
    /// from the first layer to the last, over all parameters, pruned or not, so they never change.
    weight_number_t first_number = 0;

    /// Set by Arena: where the packed numbers lie. Valid until the next prune event, the gradient also only until
    /// Arena::place_gradients.
    std::span<real> value;
    std::span<real> gradient;

    /// Numbers of the whole tensor, over all shards.
    index_t tensor_size() const {
        index_t size = 1;
        for (const index_t one : tensor_shape) size *= one;
        return size;
    }
    std::string full_name() const { return layer + "." + name; }
};

}  // namespace pruntrain
