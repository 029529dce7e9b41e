// Criteria: how important is a weight.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pruntrain/base/registry.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/model/arena.hpp"
#include "pruntrain/model/parameter.hpp"
#include "pruntrain/prune/score_input.hpp"
#include "pruntrain/prune/traits.hpp"

namespace pruntrain {

class Criterion {
   public:
    virtual ~Criterion() = default;
    /// A score for each kept position of the parameter, in packed order: higher is kept. NaN stops the run. Local; must
    /// be the same on every rank that holds the weight.
    virtual std::vector<real> scores(const Parameter& parameter) const = 0;
    /// What the arena's gradients must be when `scores` is called; null: it looks at the weights alone.
    virtual const ScoreInput* score_input() const { return nullptr; }
    /// What other parts have to know of it, besides the requirements of its score input.
    virtual Traits traits() const = 0;

    /// Additional state, one element for each weight, initially 0: the name of its slot in the arena. Empty: none.
    virtual std::string slot_name() const { return {}; }
    /// Called once in each training step, before the update; the gradients are summed over all replicas, and not
    /// clipped. Changes its own slot only. Local.
    virtual void observe(Arena& /*arena*/) const {}
    virtual std::string describe() const = 0;
};

/// @param seed  run.seed
using CriterionFactory = std::unique_ptr<Criterion> (*)(const Config&, std::uint64_t seed);
const Registry<CriterionFactory>& criteria();

}  // namespace pruntrain
