#include "pruntrain/train/resume.hpp"

#include <array>
#include <cmath>
#include <string>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

/// The lines of a top-level section of a configuration that the program has written.
std::string section_of(const std::string& resolved, const std::string& name) {
    const std::string heading = "\n" + name + ":";
    const auto begin = ("\n" + resolved).find(heading);
    if (begin == std::string::npos) return "";
    auto end = begin + heading.size() - 1;
    do end = std::min(resolved.find('\n', end), resolved.size() - 1) + 1;
    while (end < resolved.size() && (resolved[end] == ' ' || resolved[end] == '#'));
    return resolved.substr(begin, end - begin);
}

/// Compares the configurations of a checkpoint and of this run. Only on the root.
ResumePoint compare(const std::string& path, const CheckpointSummary& summary, const Experiment& experiment,
                    Progress& progress) {
    ResumePoint point{{path, summary.state.partition, summary.state.pattern_hash, summary.state.weights_hash}};
    const std::string before = experiment.configuration.with_present_names(summary.config);
    const std::string changes = changed_lines(before, experiment.resolved);
    if (changes.empty()) return point;
    progress.note("the configuration has changed since the checkpoint:\n" + changes);
    // The hash is of the weights that may be pruned.
    if (changes.find(" prunable: ") != std::string::npos) point.file.pattern_hash.clear();
    point.pruning_changed = section_of(before, "prune") != section_of(experiment.resolved, "prune") ||
                            section_of(before, "train") != section_of(experiment.resolved, "train") ||
                            section_of(before, "data") != section_of(experiment.resolved, "data") ||
                            section_of(before, "model") != section_of(experiment.resolved, "model");
    const Config config = Config::parse(before, path, {});
    if (config.has("prune"))
        point.final_sparsity_before = config.section("prune").number("final_sparsity", 0.0, {}, "");
    return point;
}

/// Samples that the run was trained on must not become validation or test samples. Only on the root.
void check_splits(const std::string& file, const std::string& before, const Experiment& experiment) {
    const Config then = Config::parse(before, file, {}).section("data");
    const Config now = Config::parse(experiment.resolved, "", {}).section("data");
    const auto compare = [&](const std::string& key, const auto& value_in) {
        const std::string old_value = value_in(then), value = value_in(now);
        if (old_value != value)
            input_error("data.", key, " is ", value, ", but it was ", old_value, " when ", file,
                        " was written: a resumed run keeps its splits, else samples that it was trained on would count "
                        "as validation or test samples: set it back, or start another run with run.start_from");
    };
    for (const std::string key : {"validation_samples", "test_samples", "split_seed"})
        compare(key, [&](const Config& data) { return exact(data.number(key, 0.0, {}, "")); });
    compare("stratified", [](const Config& data) { return data.flag("stratified", false, "") ? "true" : "false"; });
}

}  // namespace

std::optional<ResumePoint> find_resume_point(const Experiment& experiment, const RunFolder& folder, Progress& progress,
                                             const Communicator& world) {
    ResumePoint point;
    world.rethrow_collectively([&] {
        if (!world.is_root()) return;
        for (const auto& file : list_checkpoints(folder.checkpoints())) {
            std::string before;
            try {
                const CheckpointSummary summary = inspect_checkpoint(file);
                point = compare(file.string(), summary, experiment, progress);
                before = experiment.configuration.with_present_names(summary.config);
            } catch (const InputError& error) {
                progress.note(text("warning: ", error.what(), "; trying an older one"));
                continue;
            }
            check_splits(file.string(), before, experiment);
            return;
        }
    });
    broadcast(point.file, world);
    std::array<double, 2> plan{point.pruning_changed ? 1.0 : 0.0, point.final_sparsity_before};
    world.broadcast(std::span<double>(plan));
    point.pruning_changed = plan[0] != 0;
    point.final_sparsity_before = plan[1];
    if (point.file.path.empty()) return std::nullopt;
    return point;
}

void convert_position(const Experiment& experiment, RunState& state, Progress& progress) {
    if (state.step == 0) return;
    const index_t now = experiment.length.steps_per_epoch;
    const index_t before = std::llround(static_cast<double>(state.step) / state.epoch);
    if (before == now) return;
    const std::string change = text("an epoch had ", before, " steps when the checkpoint was written and has ", now,
                                    " now (train.global_batch or the data have changed)");
    if (experiment.rewinding.rounds() > 0)
        input_error(change,
                    ": a run with a rewinding schedule cannot be resumed in this way: keep the batch and the data, "
                    "or start another run with run.start_from");
    const index_t step = state.step * now / before;
    progress.note(text("warning: ", change, ": the run continues at epoch ",
                       exact(experiment.length.epoch(static_cast<double>(step))), ", step ", step, " of ",
                       experiment.length.steps, " in steps of this size"));
    state.step_offset += state.step - step;
    state.step = step;
    state.epoch = experiment.length.epoch(static_cast<double>(step));
}

void check_remaining_plan(const ResumePoint& point, const Experiment& experiment, const RunState& state,
                          Progress& progress) {
    const RunLength& length = experiment.length;
    const std::string at = text(point.file.path, " is at epoch ", exact(state.epoch));
    if (state.step > length.steps)
        input_error(at, ", after the end of this run at epoch ", exact(length.epoch(static_cast<double>(length.steps))),
                    ": give more train.epochs, or read the checkpoint with evaluate");
    if (!point.pruning_changed) return;
    const std::string has = text(" and has sparsity ", exact(state.sparsity));
    if (!experiment.pruner) {
        if (state.sparsity < point.final_sparsity_before)
            progress.note(text("warning: ", at, has, "; its run was to reach ", exact(point.final_sparsity_before),
                               ", but now there is no prune section: the sparsity stays as it is"));
        return;
    }
    const double wanted = experiment.pruner->final_sparsity();
    if (wanted < state.sparsity && wanted < point.final_sparsity_before)
        input_error(at, has, ", but prune.final_sparsity is ", exact(wanted),
                    ": pruned weights do not become active again: give a higher one, or start a new run");
    const bool is_late =
        experiment.rewinding.rounds() > 0 ? state.step >= experiment.pruner->end_step() : state.step == length.steps;
    if (wanted > point.final_sparsity_before && wanted > state.sparsity && is_late && length.steps > 0)
        input_error(at, has, ": no prune event is left before the end of the run, so that prune.final_sparsity ",
                    exact(wanted), " cannot be reached: give more train.epochs, or start a new run");
}

}  // namespace pruntrain
