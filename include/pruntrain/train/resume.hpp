// Resuming a run: which checkpoint, and whether the plan of this run can still be carried out from there.
#pragma once

#include <optional>

#include "pruntrain/run/progress.hpp"
#include "pruntrain/run/restore.hpp"
#include "pruntrain/run/run_folder.hpp"
#include "pruntrain/train/experiment.hpp"

namespace pruntrain {

/// The newest usable checkpoint of a run, and what its configuration said of pruning.
struct ResumePoint {
    FileToRestore file;
    bool pruning_changed = false;      ///< the prune section or the length of the training is another one now
    double final_sparsity_before = 0;  ///< that of the checkpoint's configuration; 0: it had no prune section
};

/// Reports how the configuration has changed, and checkpoints that are damaged. Collective.
/// @return nothing if there is no usable checkpoint
/// @throws InputError if the data are split in another way now
std::optional<ResumePoint> find_resume_point(const Experiment& experiment, const RunFolder& folder, Progress& progress,
                                             const Communicator& world);

/// Counts the position in updates of the present batch size, if the batch or the data had another size before. The
/// epoch stays; samples of a batch that is cut are seen again. @throws InputError if the schedule is rewinding
void convert_position(const Experiment& experiment, RunState& state, Progress& progress);

/// @throws InputError if the rest of the run cannot give what the configuration asks for
void check_remaining_plan(const ResumePoint& point, const Experiment& experiment, const RunState& state,
                          Progress& progress);

}  // namespace pruntrain
