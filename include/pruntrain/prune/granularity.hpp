// Granularities: which weights are pruned together.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pruntrain/base/registry.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/prune/traits.hpp"

namespace pruntrain {

/// How the scores of a group's weights become one.
enum class GroupNorm { l1, l2, mean };

/// Of each run of `most` neighbouring inputs of an output, `keep` remain (N:M sparsity).
struct KeptOfRun {
    index_t keep, most;
};

class Granularity {
   public:
    virtual ~Granularity() = default;
    /// Groups of a weight of this shape, (M,K) or (O,C,kh,kw), over all shards. 0: single weights (unstructured).
    virtual index_t count(const std::vector<index_t>& /*shape*/) const { return 0; }
    /// The group of a position of its matrix (rows = outputs).
    virtual index_t group_of(const std::vector<index_t>& /*shape*/, index_t /*row*/, index_t /*column*/) const {
        return 0;
    }
    virtual GroupNorm norm() const { return GroupNorm::l2; }
    /// Weights compete within such runs only.
    virtual std::optional<KeptOfRun> runs() const { return {}; }
    virtual Traits traits() const = 0;
    virtual std::string describe() const = 0;  ///< "weights", "rows by their L2 norm"
};

using GranularityFactory = std::unique_ptr<Granularity> (*)(const Config&);
const Registry<GranularityFactory>& granularities();

/// @param prune  the `prune` section
std::unique_ptr<Granularity> read_granularity(const Config& prune);
/// A group of the last layer is all that an output of the network is computed from.
bool prunes_whole_outputs(const Config& prune);

/// The `norm` key of a granularity.
GroupNorm read_group_norm(const Config& config);
std::string text_of(GroupNorm norm);  ///< "L2 norm"

}  // namespace pruntrain
