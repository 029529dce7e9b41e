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

namespace pruntrain {

class Criterion {
   public:
    virtual ~Criterion() = default;
    /// A score for each kept position of the parameter, in packed order: higher is kept. NaN stops the run. Local; must
    /// be the same on every rank that holds the weight.
    virtual std::vector<real> scores(const Parameter& parameter) const = 0;
    /// What the arena's gradients must be when `scores` is called; null: it looks at the weights alone.
    virtual const ScoreInput* score_input() const { return nullptr; }
    /// Scores may be below 0.
    virtual bool is_signed() const { return false; }
    /// All weights into a unit or channel have one score: they must be a group.
    virtual bool scores_units() const { return false; }

    /// The array that it keeps beside the weights, as long as them, zero at first: a slot of the arena. Empty: none.
    virtual std::string slot_name() const { return {}; }
    /// Once a training step, before the update; the gradients are summed over all replicas, and not clipped. Changes
    /// its own slot only. Local.
    virtual void observe(Arena& /*arena*/) const {}
    virtual std::string describe() const = 0;
};

/// @param seed  run.seed
using CriterionFactory = std::unique_ptr<Criterion> (*)(const Config&, std::uint64_t seed);
const Registry<CriterionFactory>& criteria();

}  // namespace pruntrain
