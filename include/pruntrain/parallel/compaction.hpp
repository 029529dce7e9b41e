// Units and channels that have lost their weights are removed from the network.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/model/network.hpp"

namespace pruntrain {

/// Of each layer with weights, by its name, which outputs live, over all shards.
using AliveChannels = std::map<std::string, std::vector<std::uint8_t>>;

/// Finds the outputs that are dead: those without a weight out of them, which nothing sees, and those without a weight
/// into them, which are constant, and so on until none is left. Constants go on into the biases behind, so that without
/// the dead outputs the network computes, in evaluation, what it computed with them. Only where a convolution pads its
/// input, or no bias and no batch-norm stands behind, a constant goes for good, as filter pruning does with the biases
/// of its filters (Li et al. 2017). The outputs of the network live, and of every layer one on each shard.
/// Changes biases and running means. Collective over the shards of a model.
AliveChannels fold_dead_channels(Network& network, const Communicator& shards);

/// How the network is cut without the dead: each shard keeps its own.
/// @return nothing if all live
std::optional<Partition> partition_of_alive(Network& network, const AliveChannels& alive);

/// Brings the numbers of a network to one of the same model that has the alive outputs only, as `partition_of_alive`
/// says, and no weights yet. What has all its weights there is stored as such. Collective over the grid.
/// @param sharing  of the slots, as `Arena::create_slots` takes it
void compact_network(Network& from, Network& to, const AliveChannels& alive, const Grid& grid,
                     std::optional<StatePartition> sharing);

}  // namespace pruntrain
