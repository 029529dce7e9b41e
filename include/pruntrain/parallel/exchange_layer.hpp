// Communication layers of model parallelism: all-gather and reduce-scatter between the shards of a model.
#pragma once

#include <memory>

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/model/network.hpp"

namespace pruntrain {

/// *Gather*: y = the channels of all shards, from x, the channels of this shard (all-gather). Backward: every shard has
/// used all channels, so dx = this shard's channels of the sum of dy over the shards (reduce-scatter). *Sum* is the
/// reverse. Forward: y = this shard's channels of the sum of x over the shards (reduce-scatter). Backward: dx = the
/// channels of all shards, from dy (all-gather). So a column-parallel layer followed by a row-parallel layer exchanges
/// once before and once after the two (Shoeybi et al. 2019, "Megatron-LM", section 3). After the last layer all shards
/// have all outputs and compute the same loss. Then y = all channels of the sum, and backward needs only dy and sends
/// nothing.
/// @param place   channels: their partition, with the first channel of each shard; input: this shard's, or partial sums
/// of all
/// @param shards  the ranks of a replica; all call forward and backward in the same order
std::unique_ptr<Layer> make_exchange_layer(const LayerPlace& place, Network::Exchange what, bool last,
                                           const Communicator& shards);

}  // namespace pruntrain
