// A plan for a number of ranks that this machine does not have: what a configuration would need and take there.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pruntrain/plan/cost_model.hpp"
#include "pruntrain/plan/rank_memory.hpp"
#include "pruntrain/train/experiment.hpp"

namespace pruntrain {

/// Reads every key of a cluster file. @throws InputError if one is unknown or wrong
Cluster read_cluster(const Config& config);
/// Its keys, for --describe.
std::string describe_cluster();

/// A step with this density of the prunable weights.
struct PlannedDensity {
    double density = 1;
    RankMemory memory;
    Rates rates;                 ///< of a rank, in the tiles of its share of the batch
    Prediction step;             ///< on all ranks
    double one_rank_step_s = 0;  ///< of the whole global batch and model on one rank

    double speedup() const { return one_rank_step_s / step.step_s(); }
};

struct ScalingPlan {
    Cluster cluster;
    Placement placement;
    TileWidths widths;
    index_t global_batch = 0;
    index_t rank_samples = 0;  ///< of the global batch; the most that a rank has
    index_t training_samples = 0;
    std::vector<PlannedDensity> densities;  ///< 1 first

    double efficiency(const PlannedDensity& at) const { return at.speedup() / static_cast<double>(placement.ranks); }
    double samples_per_s(double step_s) const { return static_cast<double>(global_batch) / step_s; }
};

/// Measures what the cluster leaves open. @param experiment  a look at as many ranks as are planned for
/// @param density  beside 1; none: the one that the configuration prunes to
ScalingPlan plan_scaling(Experiment& experiment, const Cluster& cluster, std::optional<double> density);

/// What `--check --ranks N` prints.
std::string scaling_text(const ScalingPlan& plan);
/// The same for programs, one value with all digits a key; bytes and seconds.
std::string scaling_json(const ScalingPlan& plan);

}  // namespace pruntrain
