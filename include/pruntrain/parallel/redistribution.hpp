// How the numbers of a network go to another network of the same model.
#pragma once

#include <functional>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/model/network.hpp"

namespace pruntrain {

/// How many numbers of a tensor go to each shard, and how many come from each.
struct MoveSizes {
    std::vector<std::size_t> to, from;

    template <class T>
    std::vector<T> exchange(std::span<const T> own, const Communicator& shards) const {
        std::vector<T> received(std::accumulate(from.begin(), from.end(), std::size_t{0}));
        shards.all_to_all_v(own, to, std::span<T>(received), from);
        return received;
    }
};

/// The way of the packed numbers of a tensor.
struct Route {
    Pattern pattern;  ///< where they come to
    std::optional<std::vector<index_t>>
        leave;                       ///< packed positions in the order in which they leave; else all, as they are
    std::optional<MoveSizes> sizes;  ///< over shards; else they stay on theirs
    std::optional<std::vector<index_t>> come;  ///< places in the order in which they come; else one after the other

    template <class T>
    std::vector<T> move(std::span<const T> own, const Communicator& shards) const {
        std::vector<T> numbers;
        if (leave)
            for (const index_t k : *leave) numbers.push_back(own[static_cast<std::size_t>(k)]);
        if (sizes) numbers = sizes->exchange(leave ? std::span<const T>(numbers) : own, shards);
        if (come) numbers = put_in_place(std::span<const T>(numbers), *come);
        return numbers;
    }
};

/// The way of a parameter of a layer, or, as a matrix of one column, of a statistic. May be collective over the shards.
/// @param all_columns  the shard has rows; else it has columns of all rows
using RouteOf =
    std::function<Route(std::size_t layer, const Pattern& pattern, bool all_columns, index_t tensor_columns)>;

/// Brings patterns, values and statistics of all layers, and the slots of the optimizer, to a network that has no
/// weights yet. Collective over the grid.
/// @param sharing  of the slots, as `Arena::create_slots` takes it
void redistribute(Network& from, Network& to, const Grid& grid, std::optional<StatePartition> sharing,
                  const RouteOf& route_of);

}  // namespace pruntrain
