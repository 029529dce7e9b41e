// Moves the values of a network to another network of the same model.
#pragma once

#include <functional>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/model/network.hpp"

namespace pruntrain {

/// How many elements of a tensor are sent to each shard, and received from each.
struct MoveSizes {
    std::vector<std::size_t> to, from;

    template <class T>
    std::vector<T> exchange(std::span<const T> own, const Communicator& shards) const {
        std::vector<T> received(std::accumulate(from.begin(), from.end(), std::size_t{0}));
        shards.all_to_all_v(own, to, std::span<T>(received), from);
        return received;
    }
};

/// How the packed elements of a tensor move.
struct Route {
    Pattern pattern;  ///< the new pattern
    std::optional<std::vector<index_t>>
        send_order;                  ///< packed positions in the order of sending; none: all, in their order
    std::optional<MoveSizes> sizes;  ///< per shard; none: they stay on their shard
    std::optional<std::vector<index_t>> receive_order;  ///< positions in the order of receiving; none: consecutive

    template <class T>
    std::vector<T> move(std::span<const T> own, const Communicator& shards) const {
        std::vector<T> values;
        if (send_order)
            for (const index_t k : *send_order) values.push_back(own[k]);
        if (sizes) values = sizes->exchange(send_order ? std::span<const T>(values) : own, shards);
        if (receive_order) values = put_in_place(std::span<const T>(values), *receive_order);
        return values;
    }
};

/// The route of a parameter of a layer, or of a statistic as a matrix of one column. May be collective over the shards.
/// @param all_columns  true: the shard holds rows; false: it holds columns of all rows
using RouteOf =
    std::function<Route(std::size_t layer, const Pattern& pattern, bool all_columns, index_t tensor_columns)>;

/// Moves patterns, values and statistics of all layers, and the optimizer state, to a network that has no weights yet.
/// Collective over the grid.
/// @param sharing  partition of the optimizer state, see `Arena::create_slots`
void redistribute(Network& from, Network& to, const Grid& grid, std::optional<StatePartition> sharing,
                  const RouteOf& route_of);

}  // namespace pruntrain
