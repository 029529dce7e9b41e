// Loss functions: compare the last layer's output with the targets and compute the gradient that starts backward.
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
    double loss = 0;      ///< sum of the per-sample loss
    index_t correct = 0;  ///< correctly classified samples; 0 for a regression
};

class Loss {
   public:
    virtual ~Loss() = default;

    /// @param outputs       (tile, output, sample): the network's output for `tiling.samples` samples
    /// @param targets       (sample, target): `target_width` values per sample
    /// @param gradient      null, or (tile, output, sample), 0 in padding lanes; may be `outputs` itself. Set to the
    /// gradient with respect to the outputs of the loss averaged over `global_samples`
    virtual LossSums evaluate(const Tiling& tiling, index_t outputs_per_sample, const real* outputs,
                              const float* targets, index_t target_width, index_t global_samples,
                              real* gradient) const = 0;

    /// @throws InputError unless a network with so many outputs fits targets of this width
    virtual void check(index_t outputs_per_sample, index_t target_width) const = 0;

    /// True if targets are class labels 0 .. classes-1 (then the data set checks them).
    virtual bool classifies(index_t outputs_per_sample, index_t target_width) const = 0;
    /// The number of classes of a loss that classifies.
    virtual index_t classes(index_t outputs_per_sample) const { return outputs_per_sample; }
    /// True if targets are probabilities, one per output. The data set makes class labels of them if all are 0 or 1.
    virtual bool takes_probabilities(index_t /*outputs_per_sample*/, index_t /*target_width*/) const { return false; }
};

using LossFactory = std::unique_ptr<Loss> (*)(const Config&);
const Registry<LossFactory>& losses();

}  // namespace pruntrain
