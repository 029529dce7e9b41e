#include "pruntrain/app/open_checkpoint.hpp"

#include <algorithm>
#include <iterator>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/prune/soft_pruned_weights.hpp"
#include "pruntrain/run/restore.hpp"

namespace pruntrain {

namespace {

/// The configuration of the checkpoint's run, for a network that is not split over shards.
Config config_of(const CheckpointSummary& summary, const std::string& path, const std::vector<std::string>& overrides,
                 const CheckpointNeeds& needs) {
    // The network was trained on data normalized in this way; other data must be normalized alike.
    const auto list = [](const std::vector<double>& values) {
        std::vector<std::string> words;
        for (const double value : values) words.push_back(exact(value));
        return "[" + join(words) + "]";
    };
    const auto given = [&](const std::string& start) {
        return std::ranges::any_of(overrides, [&](const std::string& one) { return one.starts_with(start); });
    };
    std::vector<std::string> all{"parallel.model_shards=1"};
    const auto is_whole_section = [](const std::string& one) { return one.starts_with("data="); };
    std::ranges::copy_if(overrides, std::back_inserter(all), is_whole_section);
    if (!given("data.normalization")) {
        all.emplace_back("data.normalization=given");
        all.push_back("data.mean=" + list(summary.normalization.mean));
        all.push_back("data.std=" + list(summary.normalization.deviation));
    }
    // Words of other files get the numbers that they had in training.
    if (!summary.state.class_names.empty()) all.push_back("data.class_names=" + yaml_list(summary.state.class_names));
    const std::string source = path + ":/config";
    const Config asked = Config::parse(summary.config, source, overrides);
    const Config data = asked.section("data");
    const bool names_inputs =
        given("data.inputs") || (given("data=") && !data.words("inputs", std::vector<std::string>{}, "").empty());
    if (!summary.state.input_names.empty() && !names_inputs && data.word("format", "", "") == "csv")
        all.push_back("data.inputs=" + yaml_list(summary.state.input_names));
    const Config stored = Config::parse(summary.config, source, {});
    if (!needs.pruner && !given("prune")) {
        all.emplace_back("prune=none");
    } else if (!stored.has_section("prune")) {
        all.emplace_back("prune.final_sparsity=0");
    } else {  // nothing is trained, so no window has to fit
        const Config prune = stored.section("prune");
        if (prune.section("schedule").word("type", "cubic", "") != "rewinding")
            all.emplace_back("prune.schedule.clamp=true");
        if (prune.section("regrow").word("type", "none", "") != "none") all.emplace_back("prune.regrow.clamp=true");
    }
    std::ranges::remove_copy_if(overrides, std::back_inserter(all), is_whole_section);
    return Config::parse(summary.config, source, all);
}

}  // namespace

CheckpointSummary inspect(const FoundCheckpoint& found, const Communicator& world) {
    CheckpointSummary summary;
    world.rethrow_collectively([&] { summary = found.summary ? *found.summary : inspect_checkpoint(found.path); });
    return summary;
}

OpenCheckpoint::OpenCheckpoint(const FoundCheckpoint& found, const std::vector<std::string>& overrides,
                               const CheckpointNeeds& needs, const Communicator& world)
    : summary(inspect(found, world)),
      experiment(config_of(summary, found.path, overrides, needs), world, {}, needs.data) {
    Model& model = experiment.model;
    const bool soft_pruned = std::ranges::find(summary.slots, soft_pruned_slot) != summary.slots.end();
    model.create_slots(soft_pruned ? summary.slots : std::vector<std::string>());
    restore({found.path, summary.state.partition, {}, summary.state.weights_hash}, model, Restore::run, world);
    if (soft_pruned) {  // the network computes without them, as in the run
        SoftPrunedWeights weights;
        weights.load_marks(model.arena().slot(model.arena().slot_number(soft_pruned_slot)), model.version());
        weights.remove(model.arena());
        model.create_slots({});
    }
    // In the tiles of the run, so that the loss is the run's to the last bit.
    model.follow_execution(experiment.slice_samples(Grid::replicas_of(summary.state.grid)));
}

Split OpenCheckpoint::split(const std::string& name) const {
    const Split split = name == "train" ? Split::train : name == "validation" ? Split::validation : Split::test;
    if (experiment.dataset.samples(split) == 0)
        input_error("the data have no ", name, " split: choose another --split");
    return split;
}

}  // namespace pruntrain
