// Predicts memory and step time of a configuration on a number of ranks that this machine does not have.
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
/// The keys of a cluster file, for --describe.
std::string describe_cluster();

/// A step at this density of the prunable weights.
struct PlannedDensity {
    double density = 1;
    RankMemory memory;
    Rates rates;                 ///< of a rank, with the tiles of its part of the batch
    Prediction step;             ///< on all ranks
    double one_rank_step_s = 0;  ///< of the whole global batch and model on one rank

    double speedup() const { return one_rank_step_s / step.step_s(); }
};

struct ScalingPlan {
    Cluster cluster;
    Placement placement;
    TileWidths widths;
    index_t global_batch = 0;
    index_t rank_samples = 0;  ///< maximum per rank, of the global batch
    index_t training_samples = 0;
    std::vector<PlannedDensity> densities;  ///< density 1 first

    double efficiency(const PlannedDensity& at) const { return at.speedup() / static_cast<double>(placement.ranks); }
    double samples_per_s(double step_s) const { return static_cast<double>(global_batch) / step_s; }
};

/// Measures the rates that the cluster file leaves open. @param experiment  built to inspect the planned number of
/// ranks
/// @param density  in addition to 1; none: the final density of the configuration
ScalingPlan plan_scaling(Experiment& experiment, const Cluster& cluster, std::optional<double> density);

/// The output of `--check --ranks N`.
std::string scaling_text(const ScalingPlan& plan);
/// The same in JSON, one value with full precision per key; bytes and seconds.
std::string scaling_json(const ScalingPlan& plan);

}  // namespace pruntrain
