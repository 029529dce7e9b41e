// The layers between the shards of a model.
#pragma once

#include <memory>

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/model/network.hpp"

namespace pruntrain {

/// *Gather*: y = the channels of all shards, from x, those of this one. Backward: what follows has used all channels on
/// every shard, so dx = this shard's channels of the sum of dy over the shards. *Sum*, the other way round: y = this
/// shard's channels of the sum of x over the shards; dx = the channels of all shards, from dy. So a layer cut by its
/// outputs, then one cut by its inputs, exchange once before and once behind the two (Shoeybi et al. 2019,
/// "Megatron-LM", section 3). Behind the last layer all shards have all outputs and compute the same loss: then y = all
/// channels of the sum, and backward, which needs no more than dy, sends nothing.
/// @param place   channels: how they are cut, with the first of each shard; input: this shard's, or terms of all
/// @param shards  the ranks of a replica; all call forward and backward alike
std::unique_ptr<Layer> make_exchange_layer(const LayerPlace& place, Network::Exchange what, bool last,
                                           const Communicator& shards);

}  // namespace pruntrain
