// The layer that gathers the channels of all shards of a model.
#pragma once

#include <memory>

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/nn/layer.hpp"

namespace pruntrain {

/// Forward: y = the channels of all shards, from x, those of this one. Backward: what follows has used all channels on
/// every shard, so dx = this shard's channels of the sum of dy over the shards. Behind the last layer all shards
/// compute the same loss from the same outputs: there dx = this shard's channels of dy.
/// @param shards  the ranks of a replica; all call forward and backward alike
std::unique_ptr<Layer> make_exchange_layer(LayerPlace place, bool last, const Communicator& shards);

}  // namespace pruntrain
