// Optimizers: update packed values with packed gradients.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/registry.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/model/arena.hpp"

namespace pruntrain {

/// The scalar inputs of an update.
struct UpdateStep {
    index_t number = 1;  ///< index of this update, from 1
    double learning_rate = 0;
    double weight_decay = 0;    ///< lambda, already 0 if the parameter is not decayed
    double gradient_scale = 1;  ///< factor on each gradient, for clipping
};

/// Works element by element on any range of the arena. So a pruned weight has no optimizer state, and a range may be a
/// rank's part.
class Optimizer {
   public:
    virtual ~Optimizer() = default;
    /// Names of the arrays of optimizer state, each as long as the values and initially zero.
    virtual std::vector<std::string> slot_names() const = 0;
    /// @param state  in the order of `slot_names`; all spans have the same length
    virtual void update(const UpdateStep& step, std::span<real> value, std::span<const real> gradient,
                        const std::vector<std::span<real>>& state) const = 0;
};

/// Number of arrays that an update with so many state arrays reads or writes. It reads the gradients, and reads and
/// writes values and state.
inline index_t arrays_moved(std::size_t state_arrays) { return 1 + 2 * (1 + static_cast<index_t>(state_arrays)); }

using OptimizerFactory = std::unique_ptr<Optimizer> (*)(const Config&);
const Registry<OptimizerFactory>& optimizers();

/// Updates the parameters of an arena; with partitioned optimizer state (ZeRO-1), only this rank's range. Collective
/// over the shards if gradients are clipped.
/// @param weight_decay  of the parameters that are decayed
/// @param clip_norm     0: no clipping; else the gradient is scaled down to this Euclidean norm (Pascanu et al. 2013)
/// @param shards        ranks with the other shards of the model, whose gradients are part of the norm
/// @return the norm of the gradient before clipping, 0 if there is no clipping
double update_parameters(const Optimizer& optimizer, Arena& arena, index_t number, double learning_rate,
                         double weight_decay, double clip_norm, const Communicator& shards);

}  // namespace pruntrain
