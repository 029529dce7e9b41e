// A tensor as seen by a selection.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/model/parameter.hpp"
#include "pruntrain/parallel/select.hpp"

namespace pruntrain {

/// The scores of one tensor on this shard, and which of its weights are selected to remain.
struct Scored {
    const Parameter* parameter;
    std::vector<real> scores;  ///< of each remaining weight
    std::vector<std::uint8_t> keep;

    /// Calls work(packed position, key, weight index) for the weights first .. last - 1.
    template <class Work>
    void for_each(index_t first, index_t last, Work work) const {
        parameter->for_each_number(first, last, [&](index_t k, weight_number_t number) {
            work(static_cast<std::size_t>(k), order_key(scores[k]), number);
        });
    }
};

/// Marks exactly the best `keep` of the unmarked weights of these tensors, over all shards, in the total order (score
/// descending, then index ascending). Collective.
/// @param tensors  indices in the list of tensors
void choose_best(index_t keep, std::vector<Scored>& scored, std::span<const std::size_t> tensors, const Grid& grid);

}  // namespace pruntrain
