// Loss and accuracy on a split.
#pragma once

#include <string>
#include <vector>

#include "pruntrain/data/dataset.hpp"
#include "pruntrain/model/loss.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/parallel/slices.hpp"
#include "pruntrain/run/summary.hpp"
#include "pruntrain/train/metrics.hpp"

namespace pruntrain {

/// Samples per evaluation batch: two wide tiles, so it needs no more memory than a training batch.
constexpr index_t evaluation_samples = 128;

/// Each slice is an even block of the split, evaluated with the network's tile widths. Collective; the same result on
/// every rank.
/// @param outputs  null, or set to this rank's outputs, (sample, output) in the order of the split
/// @param metrics  null, or collects those of this rank's samples
Evaluation evaluate(Network& network, const Loss& loss, const Dataset& dataset, Split split, const Slices& slices,
                    std::vector<float>* outputs = nullptr, Metrics* metrics = nullptr);

/// @param split  its name
/// @throws InputError if there are samples and the loss is not finite, which all ranks find alike
void require_finite(const Evaluation& evaluation, const std::string& split);

}  // namespace pruntrain
