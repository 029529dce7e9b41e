// The gradient of one batch on one rank, outside of the training loop.
#pragma once

#include <span>

#include "pruntrain/prune/score_input.hpp"
#include "pruntrain/train/experiment.hpp"

namespace pruntrain {

/// Of the mean loss of one batch of the training split, on this rank alone and as in an evaluation: without dropout,
/// and with the running statistics of batch-norm, which would else need a batch that all ranks share.
/// @param number     of the batch
/// @param gradients  set: of the arena's size
void find_batch_gradient(Experiment& experiment, const Sampler& sampler, index_t number, std::span<real> gradients);

/// Of micro-batches of the training split, all of them whole, since the gradient of a short one is larger by chance.
Sampler sampler_of(const MicroBatches& micro_batches, const Experiment& experiment);

}  // namespace pruntrain
