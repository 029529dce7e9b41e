#include "pruntrain/train/start.hpp"

#include <algorithm>
#include <filesystem>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/parallel/partition.hpp"

namespace pruntrain {

namespace {

namespace fs = std::filesystem;

std::string list(const std::vector<double>& numbers) {
    std::vector<std::string> words;
    for (const double number : numbers) words.push_back(exact(number));
    return "[" + join(words, ",") + "]";
}

/// A single value applies to all channels.
bool same_for_all_channels(const std::vector<double>& one, const std::vector<double>& other) {
    if (other.size() == 1) return std::ranges::count(one, other.front()) == std::ssize(one);
    if (one.size() == 1) return same_for_all_channels(other, one);
    return one == other;
}

void check_normalization(const std::string& file, const Normalization& theirs, const Normalization& ours) {
    if (same_for_all_channels(theirs.mean, ours.mean) && same_for_all_channels(theirs.deviation, ours.deviation))
        return;
    input_error(file, " was trained on data normalized with mean ", list(theirs.mean), " and std ",
                list(theirs.deviation), ", but this run normalizes with mean ", list(ours.mean), " and std ",
                list(ours.deviation), ": set data.normalization=given data.mean=", list(theirs.mean),
                " data.std=", list(theirs.deviation));
}

void check_pruning(const std::string& file, const Pruner& pruner, bool units_removed, bool sparse) {
    Traits traits{{}, {}};
    if (units_removed) traits.has.push_back(Trait::removes_units);
    if (sparse) traits.has.push_back(Trait::starts_pruned);
    pruner.check_with({PartKind::start_file, "", file, traits});
}

StartFile look(Experiment& experiment) {
    const Settings& settings = experiment.settings;
    const std::string& file = settings.start_from;
    std::error_code ignored;
    if (fs::equivalent(fs::path(file).parent_path(), fs::path(settings.output) / settings.name / "checkpoints",
                       ignored))
        input_error(file, " is a checkpoint of this run itself: continue with --resume, or choose another run.name");
    const CheckpointSummary summary = inspect_checkpoint(file);
    check_same_model(file, summary, experiment.model.network());
    check_normalization(file, summary.normalization, experiment.dataset.normalization());
    check_names(file, summary.state, experiment.dataset.class_names(), experiment.dataset.input_names());
    const auto any = [&](auto holds) { return std::ranges::any_of(summary.tensors, holds); };
    const bool units_removed = any([](const auto& tensor) { return tensor.shape != tensor.full_shape; });
    const bool sparse = any([](const auto& tensor) { return tensor.sparse; });
    if (experiment.pruner) check_pruning(file, *experiment.pruner, units_removed, sparse);
    StartFile found{{.path = file, .partition = {}, .pattern_hash = {}, .weights_hash = summary.state.weights_hash},
                    text("step ", summary.state.step, ", sparsity ", exact(summary.state.sparsity),
                         experiment.pruner && summary.state.sparsity > experiment.pruner->final_sparsity()
                             ? ", above prune.final_sparsity: prune events remove nothing"
                             : "")};
    if (units_removed)
        found.file.partition =
            partition_text(even_partition(parse_partition(summary.state.partition), experiment.grid.model_shards()));
    return found;
}

}  // namespace

std::optional<StartFile> look_at_start(Experiment& experiment, const Communicator& world) {
    if (experiment.settings.start_from.empty()) return std::nullopt;
    StartFile file;
    world.rethrow_collectively([&] {
        if (!world.is_root()) return;
        try {
            file = look(experiment);
        } catch (const InputError& error) {
            input_error("run.start_from: ", error.what());
        }
    });
    broadcast(file.file, world);
    world.broadcast_text(file.state);
    return file;
}

std::string start_text(const std::optional<StartFile>& file) {
    return file ? text("\nstart\n  weights of ", file->file.path, " (", file->state, ")\n") : "";
}

}  // namespace pruntrain
