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

namespace pruntrain {

/// The numbers, one for each weight, that a criterion looks at: gradients and what is made of them, at the present
/// weights. They stand in the arena's gradients.
enum class ScoreInput {
    nothing,        ///< it looks at none
    loss,           ///< of a global batch, summed over all replicas
    flow,           ///< the sum of the outputs for an input of ones, with all weights replaced by their absolute values
    slot,           ///< no gradient of now: what the criterion's slot has kept of all steps
    squares,        ///< the mean of the squared gradients of the loss of micro-batches
    curvature,      ///< 1 / [F^-1]_qq, F the Fisher matrix of blocks of weights: see BlockFisher
    change,         ///< H g: how the gradient g of the loss of a global batch changes along itself
    channel_scale,  ///< of all weights into a unit or channel, the scale of the batch-norm right behind
    mean_activation,  ///< likewise the mean absolute activation over a global batch
    active_share,     ///< likewise the share of activations that are not 0
};

/// Of ScoreInput::squares and ScoreInput::curvature.
struct MicroBatches {
    index_t samples = 0;  ///< of each
    index_t count = 0;    ///< 0: the criterion looks at none
};

/// Of ScoreInput::curvature.
struct FisherBlocks {
    index_t size = 1;     ///< weights of a block at most
    double damping = 0;   ///< on the diagonal, above 0
    bool update = false;  ///< an event moves the weights that stay
};

class Criterion {
   public:
    virtual ~Criterion() = default;
    /// A score for each kept position of the parameter, in packed order: higher is kept. NaN stops the run. Local; must
    /// be the same on every rank that holds the weight.
    virtual std::vector<real> scores(const Parameter& parameter) const = 0;
    /// What the arena's gradients must be when `scores` is called.
    virtual ScoreInput score_input() const { return ScoreInput::nothing; }
    virtual MicroBatches micro_batches() const { return {}; }
    virtual FisherBlocks fisher_blocks() const { return {}; }
    /// The outputs are divided by it ahead of the loss, of ScoreInput::change.
    virtual double temperature() const { return 1; }
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
