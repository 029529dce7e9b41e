// Which layers execute their weight dense, which sparse.
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

/// Decides after prune events. With `measured`, a layer that has lost so many weights that sparse execution may be
/// faster, by what the last measurement says, is timed both ways, forward and backward, on the arrays of the step, the
/// fastest of three times; the root's times decide for all ranks, so all run the same code. A layer that has become
/// sparse stays so until it has all its weights again. Times may differ from run to run, and where both ways are close
/// so may the choice, and with it the last bits of the results; with every other choice a run repeats to the bit.
/// `density` takes sparse execution below a fixed density.
class ExecutionPlanner {
   public:
    /// Collective.
    ExecutionPlanner(Network& network, ExecutionChoice choice, const Grid& grid);

    /// Collective. Call after a prune event, with the samples of a training step.
    /// @param run_s  seconds that all steps of the run will take at the pace so far; measuring takes less than a
    ///     hundredth of the run
    /// @param last  no event will follow: measures in any case, for the rest of the run
    /// @return what has changed and why, a line for each layer; empty if nothing has
    std::string plan(const StepContext& step, double run_s, bool last);

    /// One word for each layer with a weight, for a checkpoint: a run that is resumed goes on with it.
    std::string describe() const;
    /// The network may have been made anew. Collective. @throws InputError if it is not of this network
    void restore(const std::string& description);

    /// For up to `samples` samples a slice: narrower tiles where very sparse dense layers want wide panels.
    TileWidths tile_widths(index_t samples) const;
    index_t sparse_layers() const;
    /// As they are now. Collective.
    std::vector<LayerWeights> layers() const;
    double measuring_s() const { return measuring_s_; }

   private:
    struct Planned {
        std::size_t layer;
        WeightMatrix* weight;
        double look_below;  ///< density from which both ways are timed again
        index_t size = 0;   ///< of this and the next: over all shards, when last counted
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
