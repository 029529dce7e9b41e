// The exact choice of groups of weights, over all ranks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/prune/allocation.hpp"
#include "pruntrain/prune/granularity.hpp"
#include "pruntrain/prune/scored.hpp"

namespace pruntrain {

/// Groups are in the total order (score descending, then number ascending), and each is chosen or rejected as a whole.
/// Their scores are sums of integers: the weights' scores as multiples of one power of two, fine enough that the
/// largest sum fills a number of 62 bits. Scores below 0 count as such, in the L2 norm their squares too. So a sum has
/// the same bits whichever shards its terms come from, and only integers decide.
class GroupedSelection {
   public:
    /// Adds up the scores of all groups. Collective.
    GroupedSelection(const Granularity& granularity, std::span<const Scored> scored, const Grid& grid);

    /// First of each layer the best groups until its floor is reached, then the best of all layers as long as no more
    /// than `group.keep` weights remain. Collective.
    void select(const SelectionGroup& group, const std::vector<PrunableLayer>& layers);

    /// Marks the weights of the chosen groups.
    void mark(std::span<Scored> scored) const;

   private:
    struct Group {
        std::uint64_t score = 0;    ///< of the order of the sums
        std::uint64_t weights = 0;  ///< that it still has, over all shards
        bool chosen = false;
    };
    struct Tensor {
        std::uint64_t first_number = 0;  ///< of its groups among those of all tensors
        std::vector<Group> groups;
    };

    /// Chooses groups of these tensors, best first. @param reach  until there are `keep` weights; else the last that
    /// fits ends it. @return weights of the groups that were chosen
    index_t choose(index_t keep, bool reach, std::span<const std::size_t> tensors);
    /// Calls work(number of its group in the tensor, packed position) for all weights of this shard.
    template <class Work>
    void for_each_weight(const Scored& scored, Work work) const;

    const Granularity& granularity_;
    const Grid& grid_;
    std::vector<Tensor> tensors_;
};

/// Marks of each run of `most` neighbouring inputs the `keep` best weights, of equals the first.
void keep_best_of_runs(const KeptOfRun& runs, Scored& scored);

}  // namespace pruntrain
