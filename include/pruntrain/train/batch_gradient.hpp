// The gradient of one batch, outside of the training loop.
#pragma once

#include <span>

#include "pruntrain/data/dataset.hpp"
#include "pruntrain/data/sampler.hpp"
#include "pruntrain/model/loss.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

/// Of the mean loss of one batch of the training split, on this rank alone and as in an evaluation: without dropout,
/// and with the running statistics of batch-norm, which would else need a batch that all ranks share. The network's
/// input and activations are those of this batch then.
/// @param number     of the batch
/// @param gradients  set: of the arena's size
void find_batch_gradient(Network& network, const Loss& loss, const Dataset& dataset, const Sampler& sampler,
                         index_t number, std::span<real> gradients);

/// Of micro-batches of the training split, all of them whole, since the gradient of a short one is larger by chance.
Sampler sampler_of(const MicroBatches& micro_batches, const Dataset& dataset, std::uint64_t seed);

}  // namespace pruntrain
