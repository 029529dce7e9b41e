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
      layer_floor_(
          section.number("layer_floor", 0.05, between(0, 1),
                         "every layer keeps at least this part of its share under uniform pruning, and one weight")),
      remove_zeros_(
          section.flag("remove_zeros", false,
                       "an event removes weights that are exactly 0 beyond the schedule's sparsity too: what a "
                       "regularizer has left nothing of")),
      reconfigures_(section.flag("reconfigure", false,
                                 "after an event, units and channels without a weight into or out of them are removed "
                                 "from the network: layers, biases, batch-norm and optimizer slots shrink")),
      straight_through_(
          section.flag("straight_through", false,
                       "until the last event weights are only hidden: the network goes without them, but they are "
                       "trained on, by the gradient at 0, and all are compared anew in each event")),
      hidden_decay_(section.number("hidden_decay", 0.0, at_least(0),
                                   "further L2 decay of hidden weights, of straight_through or a reserve")),
      hidden_trained_(section.number("hidden_trained", 1.0, between(0, 1),
                                     "part of the hidden weights of straight_through, those of the highest scores, "
                                     "that is trained; the others wait as they are until an event")) {
    const Config criterion = section.section("criterion"), allocation = section.section("allocation");
    criterion_ = choose(criteria(), criterion, "type", "magnitude", "how important a weight is", seed);
    const Config granularity = section.section("grouping");
    granularity_ = choose(granularities(), granularity, "type", "weight", "which weights live and die together");
    allocation_ =
        choose(allocations(), allocation, "type", "global", "how the weights to keep are shared out over the layers");
    schedule_ = choose(prune_schedules(), section.section("schedule"), "type", "cubic", "how the sparsity grows",
                       final_sparsity_, length);
    const Config regrow = section.section("regrow");
    regrowth_ = choose(regrowths(), regrow, "type", "none", "where weights come back for others that go", seed, length);
    if (regrowth_ && !of_single_weights())
        input_error(regrow.place_of("type"), " brings single weights back, but ", granularity_->describe(),
                    " stay: set grouping to weight, or regrow to none");
    if (reconfigures_ && !needs_all_units().empty())
        input_error(section.place_of("reconfigure"), " removes units for good, but with ", needs_all_units(),
                    " their places are needed: set it to false");
    if (regrowth_ && schedule_->rewinding().rounds() > 0)
        input_error(regrow.place_of("type"),
                    " brings weights back, but the schedule is rewinding, and the step to which it "
                    "goes back knows survivors only: set regrow to none, or choose another schedule");
    check_hiding(section);
    const std::vector<index_t> sizes = tensor_sizes(network);  // nothing is pruned yet
    prunable_ = count_prunable(network, sizes).size;
    if (prunable_ == 0)
        input_error(
            "there is a prune section, but no layer of the model is prunable: remove 'prunable: false' from a layer");
    if (const auto runs = granularity_->runs()) {
        const double fits = 1 - static_cast<double>(runs->keep) / static_cast<double>(runs->most);
        if (std::abs(final_sparsity_ - fits) > 1e-6)
            input_error(section.place_of("final_sparsity"), " is ", exact(final_sparsity_), ", but ",
                        granularity_->describe(), " stay: allowed is ", exact(fits));
        if (section.has("allocation"))
            input_error(section.place_of("allocation"), " is given, but ", granularity_->describe(),
                        " stay, whichever layer it is: leave it out");
        for (const auto* parameter : network.parameters())
            if (parameter->prunable && !parameter->has_all_columns())
                input_error(section.place_of("grouping"), ": ", granularity_->describe(),
                            " stay, but the inputs of layer ", parameter->layer,
                            " are cut over shards: set parallel.cut: outputs");
    }
    if (criterion_->is_signed() && !allocation_->takes_signed())
        input_error(section.place_of("allocation"), " is ", allocation_->describe(), ", but scores of ",
                    criterion_->describe(), " may be below 0: choose another allocation, global for instance");
    if (criterion_->scores_units() && (!granularity_->of_units() || granularity_->norm() != GroupNorm::mean))
        input_error(section.place_of("grouping"), " is ", granularity_->describe(), ", but ", criterion_->describe(),
                    " scores whole units or channels: allowed is {type: row, norm: mean}");
    if (!criterion_->slot_name().empty() && schedule_->event_at(0) && schedule_->sparsity_at(0) > 0)
        input_error(section.place_of("schedule"), " has an event at step 0, but scores of ", criterion_->describe(),
                    " come from training: let it begin later");
    const index_t keep = prunable_ - removed_count(final_sparsity_, prunable_);
    const auto layers = prunable_layers(network, sizes, keep);
    index_t floors = 0;
    for (const auto& layer : layers) {  // in whole groups
        const index_t groups = granularity_->count(layer.shape),
                      group = groups > 0 ? (layer.size + groups - 1) / groups : 1;
        floors += std::min(layer.size, (layer.at_least + group - 1) / group * group);
    }
    if (floors > keep)
        input_error(section.place_of("final_sparsity"), " is ", exact(final_sparsity_), ": that keeps ", keep, " of ",
                    prunable_, " weights, but the floors of ", layers.size(), " layers need ", floors,
                    granularity_->count(layers.front().shape) > 0 ? " in whole groups" : "",
                    ": choose a smaller final_sparsity or layer_floor");
    allocation_->check(layers, final_sparsity_);
    if (schedule_->threshold() && (!of_single_weights() || allocation_->groups(layers, keep, 1).size() > 1))
        input_error(section.place_of("schedule"), " has a threshold for single weights that all compete; here are ",
                    granularity_->describe(), ", ", allocation_->describe(),
                    ": set grouping to weight and allocation to global, or choose another schedule");
}

void Pruner::check_hiding(const Config& section) const {
    if (hidden_decay_ > 0 && !soft_prunes())
        input_error(section.place_of("hidden_decay"), " is ", exact(hidden_decay_),
                    ", but no weights are hidden: set straight_through to true, or regrow to reserve");
    if (hidden_trained_ < 1 && (!straight_through_ || granularity_->runs()))
        input_error(section.place_of("hidden_trained"), " is ", exact(hidden_trained_), ", but ",
                    straight_through_ ? granularity_->describe() + " stay" : "straight_through is false",
                    ": set it to 1, or choose another grouping with straight_through");
    if (regrowth_ && regrowth_->soft_prunes() && regrowth_->start_step() < end_step())
        input_error(section.section("regrow").place_of("type"), " has its first reserve from step ",
                    regrowth_->start_step(), ", but the schedule (", schedule_->describe(), ") ends at step ",
                    end_step(), ": set start_step or start_epoch of regrow to no less");
    if (!straight_through_) return;
    const auto refuse = [&](const std::string& what) {
        input_error(section.place_of("straight_through"), " keeps weights until the last event, but ", what,
                    ": set it to false");
    };
    if (regrowth_) refuse(text("with ", regrowth_->describe(), " others go and come back"));
    if (schedule_->gives_back() || schedule_->rewinding().rounds() > 0)
        refuse(text("the schedule, ", schedule_->describe(), ", has no last event that the others lead to"));
    if (criterion_->score_input() && criterion_->score_input()->requirements().all_weights)
        refuse(text(criterion_->describe(), " needs the network with all its weights"));
}

std::string Pruner::needs_all_units() const {
    if (regrowth_) return regrowth_->describe();
    if (granularity_->runs()) return granularity_->describe() + " to stay";
    return schedule_->gives_back() ? schedule_->describe() : "";
}

std::string Pruner::describe() const {
    return text(criterion_->describe(), " of ", granularity_->describe(), ", ", allocation_->describe(), ", ",
                schedule_->describe(), ", final sparsity ", exact(final_sparsity_),
                hidden_trained_ < 1 ? text(", of hidden weights the best ", exact(hidden_trained_), " are trained on")
                : straight_through_ ? ", hidden weights are trained on"
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

/// Marks what a group of single weights keeps: first the floor of each layer, then the best of all the rest.
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

/// The marks of what stays, for each parameter of the arena; they are moved out.
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

/// All prunable weights that are gone, as 0. Collective. @return nothing if none are
std::optional<ModelHash> give_back(index_t step, Network& network, const Grid& grid) {
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
    if (gives_back(step)) return give_back(step, network, grid);
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
        if (keep == now && !straight_through_) return std::nullopt;  // else hidden weights may have to come back
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
    scored.clear();  // the scores, before memory is taken for what stays
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
