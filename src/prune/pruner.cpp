#include "pruntrain/prune/pruner.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/config/choose.hpp"
#include "pruntrain/parallel/select.hpp"
#include "pruntrain/prune/grouped_selection.hpp"
#include "pruntrain/prune/soft_pruned_weights.hpp"

namespace pruntrain {

index_t removed_count(double sparsity, index_t weights) {
    // 0.95 is the double just below 95/100: a relative 1e-12 is far above that error and far below one weight of 10^11
    const double product = sparsity * static_cast<double>(weights);
    return std::min(weights, static_cast<index_t>(std::floor(product * (1 + 1e-12))));
}

Pruner::Pruner(const Config& section, std::uint64_t seed, const RunLength& length, const Network& network)
    : final_sparsity_(section.number("final_sparsity", std::nullopt, from_up_to_below(0, 1),
                                     "fraction of the prunable weights that is removed in the end")),
      layer_floor_(section.number(
          "layer_floor", 0.05, between(0, 1),
          "lower bound of each layer: this fraction of its remaining weights under uniform pruning, and one weight")),
      remove_zeros_(section.flag(
          "remove_zeros", false,
          "an event also removes weights that are exactly 0, beyond the sparsity of the schedule: those that "
          "a regularizer has set to 0")),
      reconfigures_(
          section.flag("reconfigure", false,
                       "physical compaction: after an event, units and channels without a weight into or out of "
                       "them are removed from the network, with their biases, batch-norm and optimizer state")),
      straight_through_(
          section.flag("straight_through", false,
                       "until the last event weights are only soft-pruned (straight-through estimator): the network "
                       "computes with 0 for them, they are trained with the gradient at 0, and each event compares all "
                       "weights again")),
      hidden_decay_(section.number("hidden_decay", 0.0, at_least(0),
                                   "additional L2 decay of soft-pruned weights, of straight_through or a reserve")),
      hidden_trained_(section.number("hidden_trained", 1.0, between(0, 1),
                                     "fraction of the soft-pruned weights of straight_through that is trained, those "
                                     "with the highest scores; the others are frozen until the next event")) {
    const Config criterion = section.section("criterion"), allocation = section.section("allocation");
    criterion_ = choose(criteria(), criterion, "type", "magnitude", "importance score of a weight", seed);
    granularity_ = read_granularity(section);
    allocation_ =
        choose(allocations(), allocation, "type", "global", "distribution of the remaining weights over the layers");
    schedule_ = choose(prune_schedules(), section.section("schedule"), "type", "cubic", "sparsity over time",
                       final_sparsity_, length);
    const Config regrow = section.section("regrow");
    regrowth_ = choose(regrowths(), regrow, "type", "none", "which weights become active again, in place of others",
                       seed, length);
    const std::vector<index_t> sizes = tensor_sizes(network);  // nothing is pruned yet
    prunable_ = count_prunable(network, sizes).size;
    if (prunable_ == 0)
        input_error("there is a prune section, but no layer of the model is prunable: ",
                    granularity_->traits().holds(Trait::whole_outputs)
                        ? text("pruning of ", granularity_->describe(),
                               " leaves the last layer with weights alone, since its rows are the outputs of the "
                               "network: set granularity: weight, add a layer before it, remove 'prunable: false' from "
                               "another layer, or give the last layer 'prunable: true'")
                        : "remove 'prunable: false' from a layer");
    const index_t keep = prunable_ - removed_count(final_sparsity_, prunable_);
    const auto layers = prunable_layers(network, sizes, keep);
    const PruneChoice choice{section,           *criterion_,     *granularity_,   *allocation_,
                             *schedule_,        regrowth_.get(), final_sparsity_, reconfigures_,
                             straight_through_, hidden_decay_,   hidden_trained_, layers.size() == 1};
    reactivates_all_ = schedule_->traits().holds(Trait::reactivates_all);
    parts_ = parts_of(choice);
    std::vector<RunPart> parts = parts_;
    for (const auto* parameter : network.parameters())
        if (parameter->prunable && !parameter->has_all_columns())
            parts.push_back({PartKind::layer, "", parameter->layer, {{Trait::cut_by_inputs}, {}}});
    check_parts(parts);
    check_amounts(choice, layers, keep);
    allocation_->check(layers, final_sparsity_);
    if (!section.is_describing() && length.steps > 0 && final_sparsity_ > 0 && rewinding().rounds() == 0 &&
        end_step() >= length.steps)
        section.note(text("warning: the last prune event is at the end of the run (step ", end_step(),
                          "): no training follows it"));
}

void Pruner::check_with(const RunPart& part) const {
    std::vector<RunPart> parts = parts_;
    parts.push_back(part);
    check_parts(parts);
}

std::string Pruner::describe() const {
    return text(criterion_->describe(), " of ", granularity_->describe(), ", ", allocation_->describe(), ", ",
                schedule_->describe(), ", final sparsity ", exact(final_sparsity_),
                hidden_trained_ < 1
                    ? text(", of the soft-pruned weights the best ", exact(hidden_trained_), " are trained")
                : straight_through_ ? ", soft-pruned weights are trained"
                                    : "",
                regrowth_ ? "; " + regrowth_->describe() : "");
}

std::vector<PrunableLayer> Pruner::prunable_layers(const Network& network, std::span<const index_t> kept,
                                                   index_t keep) const {
    std::vector<PrunableLayer> layers;
    const double share = static_cast<double>(keep) / static_cast<double>(prunable_);
    for (std::size_t i = 0; i < kept.size(); ++i) {
        const Parameter& parameter = *network.parameters()[i];
        if (!parameter.prunable) continue;
        const index_t size = parameter.full_size();
        const auto floor = static_cast<index_t>(std::floor(layer_floor_ * share * static_cast<double>(size)));
        layers.push_back(
            {parameter.layer, parameter.full_shape, size, kept[i], std::min(kept[i], std::max<index_t>(floor, 1))});
    }
    return layers;
}

namespace {

Scored score(const Criterion& criterion, const Parameter& parameter) {
    Scored scored{&parameter, criterion.scores(parameter), {}};
    for (const real one : scored.scores) order_key(one);  // finds one that is not a number
    scored.keep.assign(scored.scores.size(), 0);
    return scored;
}

/// Marks the weights that a group of single weights keeps: first the floor of each layer, then the best of the rest.
void select(const SelectionGroup& group, const std::vector<PrunableLayer>& layers, std::vector<Scored>& scored,
            const Grid& grid) {
    index_t keep = group.keep;
    if (group.layers.size() > 1)  // a single layer keeps group.keep anyway, which is no less than its floor
        for (const std::size_t i : group.layers) {
            choose_best(layers[i].at_least, scored, std::span(&i, 1), grid);
            keep -= layers[i].at_least;
        }
    choose_best(keep, scored, group.layers, grid);
}

/// Prunable weights that are not 0, over all shards; no fewer than a weight for each layer, its floor.
index_t count_nonzeros(const Network& network, const Communicator& shards) {
    std::uint64_t count = 0;
    index_t layers = 0;
    for (const auto* parameter : network.parameters()) {
        if (!parameter->prunable) continue;
        ++layers;
        for (const real value : parameter->value) count += value != 0;
    }
    shards.all_reduce_sum(std::span(&count, 1));
    return std::max(layers, static_cast<index_t>(count));
}

/// The marks of the remaining weights, for each parameter of the arena; they are moved out.
std::vector<std::vector<std::uint8_t>> take_flags(std::vector<Scored>& scored, const Arena& arena) {
    std::vector<std::vector<std::uint8_t>> flags(arena.parameters().size());
    std::size_t next = 0;
    for (std::size_t i = 0; i < flags.size(); ++i)
        if (arena.parameters()[i]->prunable) flags[i] = std::move(scored[next++].keep);
    return flags;
}

index_t count_above(double threshold, const std::vector<Scored>& scored, const Communicator& shards) {
    std::uint64_t count = 0;
    for (const Scored& tensor : scored)
        for (const real score : tensor.scores) count += score > threshold;
    shards.all_reduce_sum(std::span(&count, 1));
    return static_cast<index_t>(count);
}

}  // namespace

double Pruner::sparsity_at(index_t step, index_t round) const {
    const double sparsity = schedule_->sparsity_at(step);
    if (round == 0 || round >= rounds()) return sparsity;
    return 1 - std::pow(1 - sparsity, static_cast<double>(round) / static_cast<double>(rounds()));
}

namespace {

/// Makes all pruned weights active again, as 0. Collective. @return nothing if no weight is pruned
std::optional<ModelHash> reactivate_all(index_t step, Network& network, const Grid& grid) {
    const PrunableCount count = count_prunable(network, count_kept(network, grid.shards()));
    if (count.kept == count.size) return std::nullopt;
    std::vector<std::optional<Pattern>> patterns;
    for (const auto* parameter : network.arena().parameters())
        patterns.push_back(parameter->prunable ? std::optional(parameter->pattern.with_all()) : std::nullopt);
    network.arena().set_patterns(std::move(patterns));
    return consistent_model_hash(network, step, grid);
}

}  // namespace

bool Pruner::of_single_weights() const { return granularity_->count({1, 1}) == 0 && !granularity_->runs(); }

bool Pruner::in_groups(const PrunableLayer& layer) const { return granularity_->count(layer.shape) > 0; }

void Pruner::mark(const std::vector<SelectionGroup>& groups, const std::vector<PrunableLayer>& layers,
                  std::vector<Scored>& scored, const Grid& grid) const {
    if (in_groups(layers.front())) {
        GroupedSelection selection(*granularity_, scored, grid);
        for (const auto& group : groups) selection.select(group, layers);
        selection.mark(scored);
    } else {
        for (const auto& group : groups) select(group, layers, scored, grid);
    }
}

void Pruner::prune_layer(const Parameter& weight, index_t keep, Arena& arena, const Grid& grid) const {
    if (granularity_->runs()) fault("a layer alone is pruned by ", granularity_->describe());
    const std::vector<PrunableLayer> layers{
        {weight.layer, weight.tensor_shape, weight.tensor_size(), weight.pattern.kept(), 1}};
    std::vector<Scored> scored{score(*criterion_, weight)};
    mark(one_group_of_all(1, keep), layers, scored, grid);
    std::vector<std::vector<std::uint8_t>> flags(arena.parameters().size());
    for (std::size_t i = 0; i < flags.size(); ++i)
        if (arena.parameters()[i] == &weight) flags[i] = std::move(scored.front().keep);
    arena.keep(flags);
}

std::optional<ModelHash> Pruner::prune(index_t step, Network& network, const Grid& grid, index_t round,
                                       Compensation* compensation) const {
    const double sparsity = sparsity_at(step, round);
    if (reactivates_all(step)) return reactivate_all(step, network, grid);
    index_t keep = prunable_ - removed_count(sparsity, prunable_);
    if (remove_zeros_) keep = std::min(keep, count_nonzeros(network, grid.shards()));
    const std::vector<index_t> kept = count_kept(network, grid.shards());
    const index_t now = count_prunable(network, kept).kept;
    if (keep >= now) return std::nullopt;
    std::vector<Scored> scored;
    grid.world().rethrow_collectively([&] {
        for (const auto* parameter : network.parameters())
            if (parameter->prunable) scored.push_back(score(*criterion_, *parameter));
    });
    for (Scored& tensor : scored) allocation_->compare_layers(tensor.scores, grid.shards());
    if (const auto threshold = schedule_->threshold()) {
        keep = std::max(keep, count_above(*threshold, scored, grid.shards()));
        if (keep == now && !straight_through_)
            return std::nullopt;  // else soft-pruned weights may have to become active
    }
    const auto layers = prunable_layers(network, kept, keep);
    const auto runs = granularity_->runs();
    if (runs) {
        const auto of_run = static_cast<index_t>(std::ceil((1 - sparsity) * static_cast<double>(runs->most) - 1e-9));
        for (Scored& tensor : scored) keep_best_of_runs({std::max(runs->keep, of_run), runs->most}, tensor);
    } else {
        mark(allocation_->groups(layers, keep, sparsity / final_sparsity_), layers, scored, grid);
    }

    Arena& arena = network.arena();
    auto flags = take_flags(scored, arena);
    if (straight_through_ && (step < end_step() || (round > 0 && round < rounds()))) {
        std::vector<std::vector<std::uint8_t>> trained;
        if (hidden_trained_ < 1) {
            const index_t hidden = now - keep, more = hidden - removed_count(1 - hidden_trained_, hidden);
            for (Scored& tensor : scored) tensor.keep.assign(tensor.scores.size(), 0);
            mark(allocation_->groups(layers, keep + more, sparsity / final_sparsity_), layers, scored, grid);
            trained = take_flags(scored, arena);
        }
        mark_soft_pruned(arena, flags, trained);
        return consistent_model_hash(network, step, grid);
    }
    scored.clear();  // frees the scores before the remaining weights take memory
    if (compensation) compensation->compensate(arena, flags);
    arena.keep(flags);
    if (straight_through_) mark_soft_pruned(arena, std::vector<std::vector<std::uint8_t>>(flags.size()));
    const index_t left = count_prunable(network, count_kept(network, grid.shards())).kept;
    const bool whole_groups = in_groups(layers.front()) && left <= keep;
    if (left != keep && !whole_groups && !runs)  // a run at the end of a row may be shorter
        fault("a prune event at step ", step, " kept ", left, " weights instead of ", keep);
    return consistent_model_hash(network, step, grid);
}

}  // namespace pruntrain
