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

class Criterion {
   public:
    virtual ~Criterion() = default;
    /// A score for each kept position of the parameter, in packed order: higher is kept. NaN stops the run. Local; must
    /// be the same on every rank that holds the weight.
    virtual std::vector<real> scores(const Parameter& parameter) const = 0;
    /// `scores` looks at the gradients, which must be those of a batch at the present weights, summed over all replicas.
    virtual bool needs_gradient() const { return false; }
    virtual std::string describe() const = 0;
};

/// @param seed  run.seed
using CriterionFactory = std::unique_ptr<Criterion> (*)(const Config&, std::uint64_t seed);
const Registry<CriterionFactory>& criteria();

}  // namespace pruntrain
