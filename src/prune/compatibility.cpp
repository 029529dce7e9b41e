#include "pruntrain/prune/compatibility.hpp"

#include <cmath>
#include <optional>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

RunPart criterion_part(const PruneChoice& choice) {
    Traits traits = choice.criterion.traits();
    if (choice.criterion.score_input()) {
        const auto needs = choice.criterion.score_input()->requirements();
        if (needs.all_weights) traits.has.push_back(Trait::needs_all_weights);
        if (needs.exact_sums) traits.refuses.push_back(Trait::rounded_gradients);
        if (needs.channel_scale) traits.refuses.push_back(Trait::no_batch_norm);
    }
    return {PartKind::criterion, choice.section.place_of("criterion"), choice.criterion.describe(), traits};
}

RunPart allocation_part(const PruneChoice& choice) {
    Traits traits = choice.allocation.traits();
    if (choice.single_layer) std::erase(traits.refuses, Trait::score_threshold);
    if (choice.section.has("allocation")) traits.has.push_back(Trait::chosen_allocation);
    return {PartKind::allocation, choice.section.place_of("allocation"), choice.allocation.describe(), traits};
}

RunPart schedule_part(const PruneChoice& choice) {
    Traits traits = choice.schedule.traits();
    if (choice.schedule.event_at(0) && choice.schedule.sparsity_at(0) > 0)
        traits.has.push_back(Trait::prunes_before_training);
    return {PartKind::schedule, choice.section.place_of("schedule"), choice.schedule.describe(), traits};
}

RunPart straight_through_part(const PruneChoice& choice) {
    Traits traits{{Trait::straight_through},
                  {Trait::regrows, Trait::reactivates_all, Trait::rewinds, Trait::needs_all_weights}};
    if (!choice.straight_through) traits = {{Trait::no_straight_through}, {}};
    if (!choice.straight_through && !(choice.regrowth && choice.regrowth->soft_prunes()))
        traits.has.push_back(Trait::nothing_soft_pruned);
    return {PartKind::straight_through, choice.section.place_of("straight_through"), "", traits};
}

}  // namespace

std::vector<RunPart> parts_of(const PruneChoice& choice) {
    const Config& section = choice.section;
    std::vector<RunPart> parts{criterion_part(choice),
                               {PartKind::granularity, section.place_of("granularity"), choice.granularity.describe(),
                                choice.granularity.traits()},
                               allocation_part(choice),
                               schedule_part(choice),
                               straight_through_part(choice)};
    if (choice.regrowth)
        parts.push_back({PartKind::regrowth, section.section("regrow").place_of("type"), choice.regrowth->describe(),
                         choice.regrowth->traits()});
    if (choice.reconfigures)
        parts.push_back({PartKind::reconfigure, section.place_of("reconfigure"), "", {{Trait::removes_units}, {}}});
    if (choice.hidden_decay > 0)
        parts.push_back({PartKind::hidden_decay,
                         section.place_of("hidden_decay"),
                         exact(choice.hidden_decay),
                         {{}, {Trait::nothing_soft_pruned}}});
    if (choice.hidden_trained < 1)
        parts.push_back({PartKind::hidden_trained,
                         section.place_of("hidden_trained"),
                         exact(choice.hidden_trained),
                         {{}, {Trait::no_straight_through, Trait::fixed_runs}}});
    return parts;
}

namespace {

constexpr std::nullopt_t any = std::nullopt;

/// A refusal and its message, in which {holder}, {refuser}, {granularity} and {allocation} stand for descriptions,
/// {holder.key} and {refuser.key} for places.
struct Rule {
    Trait trait;
    std::optional<PartKind> refuser, holder;
    const char* message;
};

/// Every refusal that a part declares has a rule; the first that applies gives the message.
constexpr Rule rules[]{
    {Trait::regrows, PartKind::granularity, any,
     "{holder.key} makes single weights active again, but {refuser} remain: set granularity to weight, or regrow to "
     "none"},
    {Trait::removes_units, any, PartKind::reconfigure,
     "{holder.key} removes units permanently, but with {refuser} their places are needed: set it to false"},
    {Trait::removes_units, any, PartKind::start_file,
     "units were removed from the network of {holder}, but with {refuser} their places are needed: start from a file "
     "of a run with prune.reconfigure: false"},
    {Trait::rewinds, PartKind::regrowth, any,
     "{refuser.key} makes weights active again, but the schedule is rewinding, and the step to which it returns has "
     "the remaining weights only: set regrow to none, or choose another schedule"},
    {Trait::nothing_soft_pruned, PartKind::hidden_decay, any,
     "{refuser.key} is {refuser}, but no weights are soft-pruned: set straight_through to true, or regrow to reserve"},
    {Trait::no_straight_through, PartKind::hidden_trained, any,
     "{refuser.key} is {refuser}, but straight_through is false: set it to 1, or set straight_through to true"},
    {Trait::fixed_runs, PartKind::hidden_trained, any,
     "{refuser.key} is {refuser}, but {holder} remain: set it to 1, or choose another granularity"},
    {Trait::regrows, PartKind::straight_through, any,
     "{refuser.key} keeps weights until the last event, but with {holder} others are dropped and regrown: set it to "
     "false"},
    {Trait::reactivates_all, PartKind::straight_through, any,
     "{refuser.key} keeps weights until the last event, but the schedule, {holder}, has no last event to which the "
     "others lead: set it to false"},
    {Trait::rewinds, PartKind::straight_through, any,
     "{refuser.key} keeps weights until the last event, but the schedule, {holder}, has no last event to which the "
     "others lead: set it to false"},
    {Trait::needs_all_weights, PartKind::straight_through, any,
     "{refuser.key} keeps weights until the last event, but {holder} needs the network with all its weights: set it "
     "to false"},
    {Trait::chosen_allocation, PartKind::granularity, any,
     "{holder.key} is given, but {refuser} remain in every layer: leave it out"},
    {Trait::cut_by_inputs, PartKind::granularity, any,
     "{refuser.key}: {refuser} remain, but the inputs of layer {holder} are partitioned over shards: set "
     "parallel.cut: outputs"},
    {Trait::starts_pruned, PartKind::granularity, any,
     "weights were removed from the network of {holder}, but {refuser} are to remain: start from a file with all "
     "weights, or leave the prune section out to train the remaining ones"},
    {Trait::signed_scores, PartKind::allocation, any,
     "{refuser.key} is {refuser}, but scores of {holder} may be below 0: choose another allocation, global for "
     "instance"},
    {Trait::unit_scores, PartKind::granularity, any,
     "{refuser.key} is {refuser}, but {holder} scores whole units or channels: allowed is {type: row, norm: mean}"},
    {Trait::prunes_before_training, PartKind::criterion, any,
     "{holder.key} has an event at step 0, but scores of {refuser} come from training: let it begin later"},
    {Trait::score_threshold, any, any,
     "{holder.key} has a threshold for single weights that all compete, but here are {granularity}, {allocation}: set "
     "granularity to weight and allocation to global, or choose another schedule"},
    {Trait::rounded_gradients, PartKind::criterion, any,
     "{refuser.key} is {refuser} with reduce.precision bf16: the difference of two gradients needs all their bits: "
     "set precision to fp32"},
    {Trait::no_batch_norm, PartKind::criterion, any,
     "{refuser.key} is {refuser}, but no batch_norm directly follows layer {holder}: add one, or set prunable: false "
     "there"},
};

bool is_of(const RunPart& part, const std::optional<PartKind>& kind) { return !kind || part.kind == *kind; }

std::string message_of(const Rule& rule, const RunPart& refuser, const RunPart& holder,
                       std::span<const RunPart> parts) {
    std::string message = rule.message;
    const auto fill = [&](const std::string& name, const std::string& value) {
        const auto found = message.find("{" + name + "}");
        if (found != std::string::npos) message.replace(found, name.size() + 2, value);
    };
    fill("refuser.key", refuser.place);
    fill("holder.key", holder.place);
    fill("refuser", refuser.description);
    fill("holder", holder.description);
    for (const RunPart& part : parts) {
        if (part.kind == PartKind::granularity) fill("granularity", part.description);
        if (part.kind == PartKind::allocation) fill("allocation", part.description);
    }
    return message;
}

}  // namespace

void check_parts(std::span<const RunPart> parts) {
    for (const Rule& rule : rules)
        for (const RunPart& refuser : parts)
            for (const RunPart& holder : parts)
                if (refuser.traits.rejects(rule.trait) && holder.traits.holds(rule.trait) &&
                    is_of(refuser, rule.refuser) && is_of(holder, rule.holder))
                    input_error(message_of(rule, refuser, holder, parts));
    for (const RunPart& refuser : parts)
        for (const RunPart& holder : parts)
            for (const Trait trait : refuser.traits.refuses)
                if (holder.traits.holds(trait))
                    fault("no rule words why ", refuser.description, " refuses ", holder.description);
}

namespace {

void check_runs(const PruneChoice& choice) {
    const auto runs = choice.granularity.runs();
    if (!runs) return;
    const double fits = 1 - static_cast<double>(runs->keep) / static_cast<double>(runs->most);
    if (std::abs(choice.final_sparsity - fits) > 1e-6)
        input_error(choice.section.place_of("final_sparsity"), " is ", exact(choice.final_sparsity), ", but ",
                    choice.granularity.describe(), " remain: allowed is ", exact(fits));
}

/// Each layer's floor, in whole groups.
void check_floors(const PruneChoice& choice, std::span<const PrunableLayer> layers, index_t keep) {
    index_t floors = 0, weights = 0;
    for (const auto& layer : layers) {
        const index_t groups = choice.granularity.count(layer.shape),
                      group = groups > 0 ? (layer.size + groups - 1) / groups : 1;
        floors += std::min(layer.size, (layer.at_least + group - 1) / group * group);
        weights += layer.size;
    }
    if (floors > keep)
        input_error(choice.section.place_of("final_sparsity"), " is ", exact(choice.final_sparsity), ": that keeps ",
                    keep, " of ", weights, " weights, but the floors of ", layers.size(),
                    layers.size() == 1 ? " layer need " : " layers need ", floors,
                    choice.granularity.count(layers.front().shape) > 0 ? " in whole groups" : "",
                    ": choose a smaller final_sparsity or layer_floor");
}

void check_reserve(const PruneChoice& choice) {
    const index_t end = choice.schedule.end_step();
    if (!choice.regrowth || !choice.regrowth->soft_prunes() || choice.regrowth->start_step() >= end) return;
    input_error(choice.section.section("regrow").place_of("type"), " has its first reserve from step ",
                choice.regrowth->start_step(), ", but the schedule (", choice.schedule.describe(), ") ends at step ",
                end, ": set start_step or start_epoch of regrow to no less");
}

}  // namespace

void check_amounts(const PruneChoice& choice, std::span<const PrunableLayer> layers, index_t keep) {
    check_reserve(choice);
    check_runs(choice);
    check_floors(choice, layers, keep);
}

void check_micro_batches(const Config& section, const Criterion& criterion, index_t samples) {
    if (criterion.score_input() == nullptr) return;
    const index_t needed = criterion.score_input()->requirements().micro_batch_samples;
    if (needed > samples)
        input_error(section.section("criterion").place_of("samples"), " is ", needed, ", but the training split has ",
                    samples, " samples: allowed is <= ", samples);
}

}  // namespace pruntrain
