// What a selection knows of a tensor.
#pragma once

#include <cstdint>
#include <vector>

#include "pruntrain/nn/parameter.hpp"
#include "pruntrain/prune/select.hpp"

namespace pruntrain {

/// The scores of one tensor on this shard, and which of its weights are chosen to stay.
struct Scored {
    const Parameter* parameter;
    std::vector<real> scores;  ///< of each kept weight
    std::vector<std::uint8_t> keep;

    /// Calls work(packed position, key, number) for the weights first .. last - 1.
    template <class Work>
    void for_each(index_t first, index_t last, Work work) const {
        parameter->for_each_number(first, last, [&](index_t k, weight_number_t number) {
            work(static_cast<std::size_t>(k), order_key(scores[static_cast<std::size_t>(k)]), number);
        });
    }
};

}  // namespace pruntrain
