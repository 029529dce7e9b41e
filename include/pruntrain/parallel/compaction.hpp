// Physical compaction: removes units and channels without weights from the network (structured pruning).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/model/network.hpp"

namespace pruntrain {

/// For each layer with weights, by name: which outputs are alive, over all shards.
using AliveChannels = std::map<std::string, std::vector<std::uint8_t>>;

/// Finds the dead outputs, repeatedly until there are no more. An output is dead if it has no outgoing weights, so
/// nothing reads it, or no incoming weights, so it is constant. Constants are folded into the biases of the following
/// layer, so that the compacted network computes the same function in evaluation. A constant is dropped if the
/// following convolution pads its input, or if there is no following bias or batch-norm. Filter pruning drops the
/// biases of its filters likewise (Li et al. 2017). The outputs of the network stay alive, and at least one output per
/// layer and shard. Changes biases and running means. Collective over the shards of a model.
AliveChannels fold_dead_channels(Network& network, const Communicator& shards);

/// The partition of the network without dead outputs: each shard keeps its own alive outputs.
/// @return nothing if all outputs are alive
std::optional<Partition> partition_of_alive(Network& network, const AliveChannels& alive);

/// Moves the values of a network to a compacted network of the same model, partitioned by `partition_of_alive` and
/// still without weights. Tensors that are full there are stored as such. Collective over the grid.
/// @param sharing  partition of the optimizer state, see `Arena::create_slots`
void compact_network(Network& from, Network& to, const AliveChannels& alive, const Grid& grid,
                     std::optional<StatePartition> sharing);

}  // namespace pruntrain
