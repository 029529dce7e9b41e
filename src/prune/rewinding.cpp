#include "pruntrain/prune/rewinding.hpp"

#include <algorithm>

#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

const std::string prefix = "rewind_";
const std::string values_slot = prefix + "values";

/// The values whose optimizer state this rank has.
std::span<real> own_values(Arena& arena) {
    return arena.values().subspan(arena.slot_range().first, arena.slot_range().size);
}

/// Calls work(elements, slot) for the weights and each optimizer slot, with the slot that has their copy.
template <class Work>
void for_each_remembered(Arena& arena, Work work) {
    for (const auto& name : arena.slot_names()) {
        if (!name.starts_with(prefix)) continue;
        const auto slot = arena.slot(arena.slot_number(name));
        work(name == values_slot ? own_values(arena) : arena.slot(arena.slot_number(name.substr(prefix.size()))), slot);
    }
}

}  // namespace

index_t Rewinding::ended_by(index_t step) const {
    return step < training_ ? 0 : std::min(rounds_, 1 + (step - training_) / (training_ - to_));
}

bool Rewinding::rewinds_at(index_t step) const {
    return ended_by(step) > 0 && step <= last_step() && (step - training_) % (training_ - to_) == 0;
}

index_t Rewinding::training_step(index_t step) const { return step - ended_by(step) * (training_ - to_); }

bool Rewinding::begins_anew(index_t step) const {
    return ended_by(step) > 0 && (what_ == Rewind::learning_rate || (what_ == Rewind::random && step >= last_step()));
}

index_t Rewinding::update_number(index_t step) const { return training_step(step) + 1 - (begins_anew(step) ? to_ : 0); }

std::vector<std::string> Rewinding::slot_names(const std::vector<std::string>& of_optimizer) const {
    if (rounds_ == 0 || what_ == Rewind::learning_rate) return {};
    std::vector<std::string> names{values_slot};
    for (const auto& name : of_optimizer) names.push_back(prefix + name);
    return names;
}

void Rewinding::remember(Arena& arena) const {
    for_each_remembered(arena, [](auto numbers, auto slot) { std::ranges::copy(numbers, slot.begin()); });
}

void Rewinding::rewind(index_t step, std::uint64_t seed, Network& network) const {
    Arena& arena = network.arena();
    arena.mark_changed();
    for (std::size_t number = 0; number < arena.slot_names().size(); ++number)
        if (!arena.slot_names()[number].starts_with(prefix)) std::ranges::fill(arena.slot(number), real{0});
    if (!begins_anew(step))
        for_each_remembered(arena, [](auto numbers, auto slot) { std::ranges::copy(slot, numbers.begin()); });
    else if (what_ == Rewind::random) network.initialize(seed, 1);
}

std::string Rewinding::describe() const {
    std::string trainings = text("in ", rounds_, rounds_ == 1 ? " round" : " rounds", ", after ", training_,
                                 " steps and then every ", training_ - to_, ", each followed by a training with ");
    switch (what_) {
        case Rewind::weights:
            return text(trainings, "the weights and learning rate of step ", to_);
        case Rewind::learning_rate:
            return text(trainings, "the learning rate of step ", to_);
        case Rewind::random:
            return text(trainings, "the weights and learning rate of step ", to_, ", but the last with new weights");
    }
    return trainings;
}

}  // namespace pruntrain
