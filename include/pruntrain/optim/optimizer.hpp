// Optimizers: one update of packed values from packed gradients.
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

/// What an update needs besides the arrays.
struct UpdateStep {
    index_t number = 1;  ///< of this update, from 1
    double learning_rate = 0;
    double weight_decay = 0;    ///< lambda, already 0 where a parameter is not decayed
    double gradient_scale = 1;  ///< each gradient is multiplied by it: clipping
};

/// Works on any range of the arena, number by number: so a pruned weight has no state, and a range may be a rank's
/// share.
class Optimizer {
   public:
    virtual ~Optimizer() = default;
    /// Names of the arrays that it keeps beside the values, each as long as them, zero at first.
    virtual std::vector<std::string> slot_names() const = 0;
    /// @param slots  in the order of `slot_names`; all spans have one length
    virtual void update(const UpdateStep& step, std::span<real> value, std::span<const real> gradient,
                        const std::vector<std::span<real>>& slots) const = 0;
};

/// Arrays that an update with so many slots reads or writes: it reads the gradients, and reads and writes values and
/// slots.
inline index_t arrays_moved(std::size_t slots) { return 1 + 2 * (1 + static_cast<index_t>(slots)); }

using OptimizerFactory = std::unique_ptr<Optimizer> (*)(const Config&);
const Registry<OptimizerFactory>& optimizers();

/// Updates the parameters of an arena, where its slots are shared those of this rank's range. Collective over the
/// shards if there is clipping.
/// @param weight_decay  of the parameters that are decayed
/// @param clip_norm     0: no clipping; else the gradient is scaled down to this Euclidean norm (Pascanu et al. 2013)
/// @param shards        ranks with the other shards of the model, whose gradients belong to the norm
/// @return the norm of the gradient before clipping, 0 if there is no clipping
double update_parameters(const Optimizer& optimizer, Arena& arena, index_t number, double learning_rate,
                         double weight_decay, double clip_norm, const Communicator& shards);

}  // namespace pruntrain
