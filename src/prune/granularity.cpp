#include "pruntrain/prune/granularity.hpp"

#include "pruntrain/config/choose.hpp"

namespace pruntrain {

std::unique_ptr<Granularity> read_granularity(const Config& prune) {
    prune.alias("granularity", "grouping");
    return choose(granularities(), prune.section("granularity"), "type", "weight", "which weights are pruned together");
}

bool prunes_whole_outputs(const Config& prune) { return read_granularity(prune)->traits().holds(Trait::whole_outputs); }

GroupNorm read_group_norm(const Config& config) {
    const std::string norm =
        config.choice("norm", "l2", {"l1", "l2", "mean"},
                      "score of a group: sum, root of the sum of squares, or mean of the scores of its weights");
    return norm == "l1" ? GroupNorm::l1 : norm == "l2" ? GroupNorm::l2 : GroupNorm::mean;
}

std::string text_of(GroupNorm norm) {
    return norm == GroupNorm::l1 ? "L1 norm" : norm == GroupNorm::l2 ? "L2 norm" : "mean";
}

}  // namespace pruntrain
