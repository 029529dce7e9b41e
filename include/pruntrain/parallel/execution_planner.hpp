// Chooses dense or sparse execution for each layer.
#pragma once

#include <string>
#include <vector>

#include "pruntrain/base/timer.hpp"
#include "pruntrain/comm/grid.hpp"
#include "pruntrain/config/choose.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/model/weight_matrix.hpp"
#include "pruntrain/parallel/census.hpp"

namespace pruntrain {

/// Execution of the layers that have lost weights: the faster one, as measured, or one by a rule.
enum class ExecutionChoice { measured, density, dense, sparse };
/// The words of train.execution.
inline const std::vector<EnumWord<ExecutionChoice>> execution_choices{{"auto", ExecutionChoice::measured},
                                                                      {"density", ExecutionChoice::density},
                                                                      {"dense", ExecutionChoice::dense},
                                                                      {"sparse", ExecutionChoice::sparse}};

/// Decides after prune events. With `measured`, it times layers that are sparse enough that sparse execution may be
/// faster, based on the last measurement. Forward and backward of both executions run on the arrays of the step; the
/// fastest of three repetitions counts. The times of the root decide for all ranks, so all run the same code. A sparse
/// layer stays sparse until it has all its weights again. Times vary between runs. If both executions are about equally
/// fast, the choice may vary too, and with it the last bits of the results. Runs with any other choice are reproducible
/// to the bit. `density` selects sparse execution below a fixed density.
class ExecutionPlanner {
   public:
    /// Collective.
    ExecutionPlanner(Network& network, ExecutionChoice choice, const Grid& grid);

    /// Collective. Call after a prune event, with the samples of a training step.
    /// @param run_s  estimated seconds of all steps of the run; measuring takes less than a hundredth of it
    /// @param last  no event will follow: measures in any case, for the rest of the run
    /// @return the changes and their reasons, a line per layer; empty if there are none
    std::string plan(const StepContext& step, double run_s, bool last);

    /// One word per layer with a weight, for a checkpoint: a resumed run continues with this plan.
    std::string describe() const;
    /// The network may be a new one. Collective. @throws InputError if the plan does not fit it
    void restore(const std::string& description);

    /// For up to `samples` samples per slice: narrower tiles where very sparse dense layers need wide panels.
    TileWidths tile_widths(index_t samples) const;
    index_t sparse_layers() const;
    /// The current state. Collective.
    std::vector<LayerWeights> layers() const;
    double measuring_s() const { return measuring_s_; }

   private:
    struct Planned {
        std::size_t layer;
        WeightMatrix* weight;
        double look_below;  ///< density below which both executions are timed again
        index_t size = 0;   ///< size and kept: over all shards, at the last count
        index_t kept = 0;

        double density() const { return static_cast<double>(kept) / static_cast<double>(size); }
    };

    void count();  ///< collective

    std::string measure(Planned& planned, const StepContext& step);
    double seconds_of(std::size_t layer, const StepContext& step);

    Network& network_;
    ExecutionChoice choice_;
    Grid grid_;
    std::vector<Planned> layers_;
    double measuring_s_ = 0;
};

}  // namespace pruntrain
