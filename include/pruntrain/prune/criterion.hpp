// Criteria: how important is a weight.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pruntrain/base/registry.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/nn/parameter.hpp"

namespace pruntrain {

/// Gradients that a criterion looks at, all at the present weights.
enum class GradientOf {
    nothing,  ///< it looks at none
    loss,     ///< of a global batch, summed over all replicas
    flow,     ///< the sum of the outputs for an input of ones, with all weights replaced by their absolute values
};

class Criterion {
   public:
    virtual ~Criterion() = default;
    /// A score for each kept position of the parameter, in packed order: higher is kept. NaN stops the run. Local; must
    /// be the same on every rank that holds the weight.
    virtual std::vector<real> scores(const Parameter& parameter) const = 0;
    /// What the arena's gradients must be when `scores` is called.
    virtual GradientOf gradient_of() const { return GradientOf::nothing; }
    virtual std::string describe() const = 0;
};

/// @param seed  run.seed
using CriterionFactory = std::unique_ptr<Criterion> (*)(const Config&, std::uint64_t seed);
const Registry<CriterionFactory>& criteria();

}  // namespace pruntrain
