// Losses: what the last layer's output is compared with, and the gradient that starts backward.
#pragma once

#include <memory>
#include <string>

#include "pruntrain/base/registry.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/math/tile.hpp"

namespace pruntrain {

/// Sums over this rank's samples.
struct LossSums {
    double loss = 0;      ///< sum of the loss of each sample
    index_t correct = 0;  ///< samples whose largest output is the target's class; 0 for a regression
};

class Loss {
   public:
    virtual ~Loss() = default;

    /// @param outputs       (tile, output, sample): the network's output for `tiling.samples` samples
    /// @param targets       (sample, target): `target_width` numbers a sample, in the order of the samples
    /// @param gradient      null, or (tile, output, sample): set to d loss / d outputs of the mean over
    /// `global_samples`;
    ///                      0 in padding lanes. May be `outputs` itself
    virtual LossSums evaluate(const Tiling& tiling, index_t outputs_per_sample, const real* outputs,
                              const float* targets, index_t target_width, index_t global_samples,
                              real* gradient) const = 0;

    /// @throws InputError unless a network of so many outputs can be compared with targets of this width
    virtual void check(index_t outputs_per_sample, index_t target_width) const = 0;

    /// Targets are class numbers 0 .. outputs-1 (then the data set checks its labels).
    virtual bool classifies(index_t outputs_per_sample, index_t target_width) const = 0;
};

using LossFactory = std::unique_ptr<Loss> (*)(const Config&);
const Registry<LossFactory>& losses();

}  // namespace pruntrain
