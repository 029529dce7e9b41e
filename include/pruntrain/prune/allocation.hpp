// Allocations: how the weights to keep are shared out over the layers.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/registry.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/config/config.hpp"

namespace pruntrain {

/// A prunable weight tensor as an allocation sees it.
struct PrunableLayer {
    std::string name;            ///< the layer's
    std::vector<index_t> shape;  ///< of its weight before any pruning: (M,K) or (O,C,kh,kw)
    index_t size = 0;            ///< weights before any pruning
    index_t kept = 0;            ///< weights now
    index_t at_least = 1;        ///< floor: weights that must stay
};

/// Tensors whose weights compete with each other for `keep` places.
struct SelectionGroup {
    std::vector<std::size_t> layers;  ///< numbers in the list of prunable layers
    index_t keep = 0;
};

class Allocation {
   public:
    virtual ~Allocation() = default;
    /// The groups for a prune event; their `keep` sum up to `keep`.
    /// @param progress  sparsity at this event as a share of the final sparsity, 0..1
    virtual std::vector<SelectionGroup> groups(const std::vector<PrunableLayer>& layers, index_t keep,
                                               double progress) const = 0;
    /// It takes scores below 0.
    virtual bool takes_signed() const { return true; }
    /// Changes the scores of a layer so that those of different layers compare. Collective.
    /// @param scores  those of this shard
    virtual void compare_layers(std::span<real> /*scores*/, const Communicator& /*shards*/) const {}
    virtual std::string describe() const = 0;
    /// @throws InputError if the layers do not fit it (an unknown name in a table)
    virtual void check(const std::vector<PrunableLayer>&, double /*final_sparsity*/) const {}
};

using AllocationFactory = std::unique_ptr<Allocation> (*)(const Config&);
const Registry<AllocationFactory>& allocations();

/// Whole numbers with the sum `keep`, each from its layer's floor to what it still has, as near to `wanted` as the
/// largest remainders allow (Hamilton's method). The floors must not sum up to more than `keep`.
std::vector<index_t> apportion(const std::vector<double>& wanted, const std::vector<PrunableLayer>& layers,
                               index_t keep);

/// All layers in one group.
std::vector<SelectionGroup> one_group_of_all(std::size_t layers, index_t keep);
/// One group for each layer with these numbers of weights to keep.
std::vector<SelectionGroup> one_group_per_layer(const std::vector<index_t>& keep);

}  // namespace pruntrain
