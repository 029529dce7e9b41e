#include "pruntrain/prune/hidden_weights.hpp"

#include <algorithm>

namespace pruntrain {

PRUNTRAIN_VECTORIZED
static void multiply(std::span<const real> factors, real* __restrict values) {
    for (std::size_t k = 0; k < factors.size(); ++k) values[k] *= factors[k];
}

PRUNTRAIN_VECTORIZED
static void add_hidden(std::span<const real> used, const real* values, real strength, real* __restrict gradients) {
    for (std::size_t k = 0; k < used.size(); ++k) gradients[k] += strength * (1 - used[k]) * values[k];
}

void HiddenWeights::learn(std::span<const real> marks) {
    used_.resize(marks.size());
    std::ranges::transform(marks, used_.begin(), [](real mark) { return 1 - mark; });
    any_ = std::ranges::any_of(marks, [](real mark) { return mark != 0; });
    known_ = true;
}

void HiddenWeights::remove(Arena& arena) const {
    if (any_) multiply(used_, arena.values().data());
}

void HiddenWeights::decay(Arena& arena, real strength) const {
    if (any_ && strength != 0) add_hidden(used_, arena.values().data(), strength, arena.gradients().data());
}

HiddenWeights::Hiding::Hiding(HiddenWeights& weights, Arena& arena) : arena_(arena) {
    if (!weights.any_ || weights.hiding_) return;
    weights_ = &weights;
    weights.hiding_ = true;
    weights.values_.assign(arena.values().begin(), arena.values().end());
    weights.remove(arena);
}

HiddenWeights::Hiding::~Hiding() {
    if (!weights_) return;
    std::ranges::copy(weights_->values_, arena_.values().begin());
    weights_->hiding_ = false;
}

void mark_hidden(Arena& arena, const std::vector<std::vector<std::uint8_t>>& used) {
    const auto marks = arena.slot(arena.slot_number(hidden_slot));
    for (std::size_t i = 0; i < used.size(); ++i) {
        const Block own = arena.slot_range(i);
        for (index_t k = own.first; k < own.first + own.size; ++k)
            marks[static_cast<std::size_t>(k - arena.slot_range().first)] =
                used[i].empty() || used[i][static_cast<std::size_t>(k - arena.offset(i))] ? 0 : 1;
    }
}

std::vector<index_t> count_hidden(Arena& arena, const Grid& grid) {
    const auto marks = arena.slot(arena.slot_number(hidden_slot));
    std::vector<std::uint64_t> counts;
    for (std::size_t i = 0; i < arena.parameters().size(); ++i) {
        const Block own = arena.slot_range(i);
        const auto first = marks.begin() + (own.first - arena.slot_range().first);
        counts.push_back(static_cast<std::uint64_t>(std::count(first, first + own.size, real{1})));
    }
    (arena.shares_slots() ? grid.world() : grid.shards()).sum(std::span(counts));
    return {counts.begin(), counts.end()};
}

}  // namespace pruntrain
