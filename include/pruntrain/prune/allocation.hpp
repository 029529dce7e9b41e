// Allocations: the sparsity of each layer, for a given sparsity of the network.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/registry.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/prune/traits.hpp"

namespace pruntrain {

/// A prunable weight tensor as an allocation sees it.
struct PrunableLayer {
    std::string name;            ///< the layer's
    std::vector<index_t> shape;  ///< of its weight before any pruning: (M,K) or (O,C,kh,kw)
    index_t size = 0;            ///< weights before any pruning
    index_t kept = 0;            ///< weights now
    index_t at_least = 1;        ///< floor: weights that must remain
};

/// Tensors whose weights compete with each other for `keep` places.
struct SelectionGroup {
    std::vector<std::size_t> layers;  ///< indices in the list of prunable layers
    index_t keep = 0;
};

class Allocation {
   public:
    virtual ~Allocation() = default;
    /// The groups for a prune event; their `keep` sum up to `keep`.
    /// @param progress  sparsity at this event as a share of the final sparsity, 0..1
    virtual std::vector<SelectionGroup> groups(const std::vector<PrunableLayer>& layers, index_t keep,
                                               double progress) const = 0;
    virtual Traits traits() const = 0;
    /// Changes the scores of a layer so that they are comparable with those of other layers. Collective.
    /// @param scores  those of this shard
    virtual void compare_layers(std::span<real> /*scores*/, const Communicator& /*shards*/) const {}
    virtual std::string describe() const = 0;
    /// @throws InputError if the layers do not fit it (an unknown name in a table)
    virtual void check(const std::vector<PrunableLayer>&, double /*final_sparsity*/) const {}
};

using AllocationFactory = std::unique_ptr<Allocation> (*)(const Config&);
const Registry<AllocationFactory>& allocations();

/// Integers with the sum `keep`, each from its layer's floor to its remaining weights, as near to `wanted` as the
/// largest remainders allow (Hamilton's method). The floors must not sum up to more than `keep`.
std::vector<index_t> apportion(const std::vector<double>& wanted, const std::vector<PrunableLayer>& layers,
                               index_t keep);

/// All layers in one group.
std::vector<SelectionGroup> one_group_of_all(std::size_t layers, index_t keep);
/// One group for each layer, with the number of weights that it keeps.
std::vector<SelectionGroup> one_group_per_layer(const std::vector<index_t>& keep);

}  // namespace pruntrain
