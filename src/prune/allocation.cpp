#include "pruntrain/prune/allocation.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

std::vector<index_t> apportion(const std::vector<double>& wanted, const std::vector<PrunableLayer>& layers,
                               index_t keep) {
    std::vector<index_t> shares(layers.size());
    for (std::size_t i = 0; i < layers.size(); ++i)
        shares[i] = std::clamp(static_cast<index_t>(std::floor(wanted[i])), layers[i].at_least, layers[i].kept);
    index_t rest = keep - std::accumulate(shares.begin(), shares.end(), index_t{0});
    for (; rest != 0; rest > 0 ? --rest : ++rest) {
        // The layer furthest below (or above) its wanted count that may still change; the first of equals.
        const index_t move = rest > 0 ? 1 : -1;
        std::size_t best = layers.size();
        double best_distance = 0;
        for (std::size_t i = 0; i < layers.size(); ++i) {
            const index_t moved = shares[i] + move;
            if (moved < layers[i].at_least || moved > layers[i].kept) continue;
            const double distance = static_cast<double>(move) * (wanted[i] - static_cast<double>(shares[i]));
            if (best == layers.size() || distance > best_distance) {
                best = i;
                best_distance = distance;
            }
        }
        if (best == layers.size())
            fault("no way to keep ", keep, " weights between the floors and the remaining weights");
        shares[best] += move;
    }
    return shares;
}

std::vector<SelectionGroup> one_group_of_all(std::size_t layers, index_t keep) {
    SelectionGroup all{std::vector<std::size_t>(layers), keep};
    std::iota(all.layers.begin(), all.layers.end(), std::size_t{0});
    return {all};
}

std::vector<SelectionGroup> one_group_per_layer(const std::vector<index_t>& keep) {
    std::vector<SelectionGroup> groups;
    for (std::size_t i = 0; i < keep.size(); ++i) groups.push_back({{i}, keep[i]});
    return groups;
}

}  // namespace pruntrain
