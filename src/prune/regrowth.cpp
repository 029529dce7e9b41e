#include "pruntrain/prune/regrowth.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/prune/pruner.hpp"
#include "pruntrain/prune/soft_pruned_weights.hpp"

namespace pruntrain {

Regrowth::Regrowth(const Config& config, const RunLength& length) : last_update_(length.steps) {
    fraction_ = config.number("fraction", 0.3, from_up_to_below(0, 1),
                              "fraction of each layer's remaining weights that is replaced, at the start");
    cosine_ = config.choice("decay", "cosine", {"cosine", "constant"},
                            "of the fraction; cosine: down to 0 at the end") == "cosine";
    every_ = read_interval(config, 100, "from one event to the next", length);
    const bool clamp = read_clamp(config, "even if no weight then becomes active again");
    start_ = read_time(config, "start", 0, "an interval ahead of the first event", length,
                       clamp ? TooLate::allowed : TooLate::refused)
                 .step;
    end_ = read_time(config, "end", 0.75 * length.epoch(static_cast<double>(length.steps)), "no event after it", length,
                     clamp ? TooLate::allowed : TooLate::noted)
               .step;
    if (end_ < start_ && !config.is_describing())
        input_error("regrowth (", config.path_of("end_epoch"), ") ends at step ", end_, ", before its start at step ",
                    start_, ": give an end after the start");
    const index_t first = start_ + every_, last = std::min(end_, length.steps - 1);
    if (!config.is_describing() && length.steps > 0 && !clamp && first > last)
        config.note(text("warning: no weight will be regrown: the first event would be at step ", first,
                         ", and regrowth ends at step ", last, ": give a smaller ", config.path_of("every_steps"),
                         ", or a later end"));
}

bool Regrowth::event_at(index_t step) const {
    if (soft_prunes() && step == end_) return true;
    return step > start_ && step <= end_ && step < last_update_ && (step - start_) % every_ == 0;
}

double Regrowth::fraction_at(index_t step) const {
    if (soft_prunes() && step == end_) return 0;
    if (!cosine_) return fraction_;
    const double progress = static_cast<double>(step - start_) / static_cast<double>(end_ - start_);
    return fraction_ / 2 * (1 + std::cos(std::numbers::pi * progress));
}

Traits Regrowth::traits() const { return {.has = {Trait::regrows}, .refuses = {Trait::removes_units, Trait::rewinds}}; }

std::string Regrowth::describe() const {
    return text(exact(fraction_), cosine_ ? " (cosine)" : "", " of each layer regrows ", how(), " from step ", start_,
                " to ", end_, ", every ", every_, " steps");
}

std::unique_ptr<Regrowth> make_none(const Config&, std::uint64_t, const RunLength&) { return nullptr; }

namespace {

/// The pattern without the weights of smallest magnitude. Collective.
Pattern without_smallest(index_t keep, const Parameter& parameter, const Grid& grid) {
    std::vector<Scored> tensor{{&parameter, std::vector<real>(parameter.value.size()), {}}};
    std::ranges::transform(parameter.value, tensor[0].scores.begin(), [](real value) { return std::abs(value); });
    tensor[0].keep.assign(tensor[0].scores.size(), 0);
    choose_best(keep, tensor, std::vector<std::size_t>{0}, grid);
    Pattern stay = parameter.pattern;
    stay.keep(tensor[0].keep);
    return stay;
}

/// For each packed position whether the other pattern has it too.
std::vector<std::uint8_t> places_in(const Parameter& parameter, const Pattern& other) {
    std::vector<std::uint8_t> flags;
    parameter.pattern.for_each_match(other, [&](index_t, bool there) { flags.push_back(there); });
    return flags;
}

}  // namespace

RegrowEvent::RegrowEvent(const Regrowth& regrowth, index_t step, Network& network, const Grid& grid)
    : regrowth_(regrowth), step_(step), network_(network), grid_(grid), kept_(count_kept(network, grid.shards())) {
    Arena& arena = network.arena();
    const std::vector<index_t> hidden =
        regrowth.soft_prunes() ? count_soft_pruned(arena, grid) : std::vector<index_t>(kept_.size(), 0);
    for (std::size_t i = 0; i < kept_.size(); ++i) {
        const Parameter& parameter = *arena.parameters()[i];
        index_t& kept = kept_[i];
        const index_t used = kept - hidden[i], size = parameter.tensor_size();
        const index_t count = std::min(removed_count(regrowth.fraction_at(step), used), size - used);
        if (!parameter.prunable || used == size || count + hidden[i] == 0) continue;
        const index_t stay = regrowth.soft_prunes() ? used : used - count;
        kept = stay + count;
        layers_.push_back({i, count, without_smallest(stay, parameter, grid)});
    }
}

void RegrowEvent::densify() {
    Arena& arena = network_.arena();
    std::vector<std::optional<Pattern>> patterns(arena.parameters().size());
    for (const Layer& layer : layers_)
        patterns[layer.parameter] = arena.parameters()[layer.parameter]->pattern.with_all();
    arena.set_patterns(std::move(patterns), Arena::Slots::deferred);
}

ModelHash RegrowEvent::grow() {
    Arena& arena = network_.arena();
    std::vector<std::optional<Pattern>> patterns(arena.parameters().size());
    for (const Layer& layer : layers_) {
        Parameter whole = *arena.parameters()[layer.parameter];
        whole.pattern = whole.pattern.with_all();
        const auto size = static_cast<std::size_t>(whole.pattern.dense_size());
        std::vector<Scored> places{{&whole, std::vector<real>(size), std::vector<std::uint8_t>(size, 0)}};
        grid_.world().rethrow_collectively([&] {
            regrowth_.score(places[0], step_);
            for (const real score : places[0].scores) order_key(score);  // finds one that is not a number
        });
        layer.stay.for_each_position([&](index_t, index_t position) { places[0].keep[position] = 1; });
        if (layer.count > 0) choose_best(layer.count, places, std::vector<std::size_t>{0}, grid_);
        patterns[layer.parameter] = whole.pattern.with_all();
        patterns[layer.parameter]->keep(places[0].keep);
    }
    arena.set_patterns(std::move(patterns));
    if (regrowth_.soft_prunes()) {
        std::vector<std::vector<std::uint8_t>> used(arena.parameters().size());
        for (const Layer& layer : layers_)
            used[layer.parameter] = places_in(*arena.parameters()[layer.parameter], layer.stay);
        mark_soft_pruned(arena, used);
    }
    if (count_kept(network_, grid_.shards()) != kept_)
        fault("regrowth at step ", step_, " left a layer with more or fewer weights than it should have");
    return consistent_model_hash(network_, step_, grid_);
}

}  // namespace pruntrain
