// Exact selection of groups of weights, over all ranks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/prune/allocation.hpp"
#include "pruntrain/prune/granularity.hpp"
#include "pruntrain/prune/scored.hpp"

namespace pruntrain {

/// Groups are in a total order (score descending, then index ascending); each is selected or left as a whole. Group
/// scores are integer sums. The weights' scores are multiples of one power of two, chosen so that the largest sum fills
/// 62 bits. Negative scores stay negative, also when squared in the L2 norm. So a sum is bit-identical for any
/// distribution over shards, and the selection uses integers only.
class GroupedSelection {
   public:
    /// Adds up the scores of all groups. Collective.
    GroupedSelection(const Granularity& granularity, std::span<const Scored> scored, const Grid& grid);

    /// Selects the best groups of each layer until its floor is reached. Then selects the best groups of all layers
    /// while no more than `group.keep` weights remain. Collective.
    void select(const SelectionGroup& group, const std::vector<PrunableLayer>& layers);

    /// Marks the weights of the selected groups.
    void mark(std::span<Scored> scored) const;

   private:
    struct Group {
        std::uint64_t score = 0;    ///< in the order of the sums
        std::uint64_t weights = 0;  ///< remaining weights, over all shards
        bool chosen = false;
    };
    struct Tensor {
        std::uint64_t first_number = 0;  ///< first index of its groups among those of all tensors
        std::vector<Group> groups;
    };

    /// Selects groups of these tensors, best first. @param reach  true: until there are `keep` weights; false: the
    /// first group that does not fit ends it. @return weights of the selected groups
    index_t choose(index_t keep, bool reach, std::span<const std::size_t> tensors);
    /// Calls work(index of its group in the tensor, packed position) for all weights of this shard.
    template <class Work>
    void for_each_weight(const Scored& scored, Work work) const;

    const Granularity& granularity_;
    const Grid& grid_;
    std::vector<Tensor> tensors_;
};

/// Marks the `keep` best weights of each run of `most` neighboring inputs; of ties, the first.
void keep_best_of_runs(const KeptOfRun& runs, Scored& scored);

}  // namespace pruntrain
