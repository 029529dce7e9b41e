// Regularizers that set weights to exactly zero.
#pragma once

#include <memory>

#include "pruntrain/base/registry.hpp"
#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/model/arena.hpp"

namespace pruntrain {

/// A proximal step after each update (Parikh & Boyd 2014, "Proximal algorithms", section 4.2): the minimizer of R(w) +
/// |w - w_updated|^2 / (2 learning rate). It is decoupled from the optimizer, like AdamW's decay. Unimportant weights
/// become exactly 0: see prune.remove_zeros.
class Regularizer {
   public:
    explicit Regularizer(const Config& config);
    virtual ~Regularizer() = default;

    /// True if this parameter is regularized; default: prunable weights.
    virtual bool applies_to(const Parameter& parameter) const { return parameter.prunable; }
    /// Shrinks all parameters that it applies to. Collective over the shards of a model.
    /// @param epoch  the current epoch, for the warm-up of the strength
    void apply(Arena& arena, double learning_rate, double epoch, const Communicator& shards) const;
    /// @param step  learning rate x strength
    virtual void shrink(Parameter& parameter, double step, const Communicator& shards) const = 0;

   private:
    double strength_, warmup_epochs_;
};

using RegularizerFactory = std::unique_ptr<Regularizer> (*)(const Config&);
/// The name `none` creates none.
const Registry<RegularizerFactory>& regularizers();

}  // namespace pruntrain
