// The gradient of one batch on one rank, outside of the training loop.
#pragma once

#include <span>

#include "pruntrain/prune/score_input.hpp"
#include "pruntrain/train/experiment.hpp"

namespace pruntrain {

/// The gradient of the mean loss of one batch of the training split, on this rank alone and as in an evaluation. So
/// dropout is off, and batch-norm uses its running statistics, since batch statistics would need all ranks.
/// @param number     index of the batch
/// @param gradients  set: of the arena's size
void find_batch_gradient(Experiment& experiment, const Sampler& sampler, index_t number, std::span<real> gradients);

/// Draws micro-batches of the training split. All have full size, since smaller batches have noisier gradients.
Sampler sampler_of(const MicroBatches& micro_batches, const Experiment& experiment);

}  // namespace pruntrain
