#include "pruntrain/prune/soft_pruned_weights.hpp"

#include <algorithm>

#include "pruntrain/parallel/state_partition.hpp"

namespace pruntrain {

static constexpr real soft_pruned = 1, frozen = 2;

PRUNTRAIN_VECTORIZED
static void multiply(std::span<const real> factors, real* __restrict values) {
    for (std::size_t k = 0; k < factors.size(); ++k) values[k] *= factors[k];
}

PRUNTRAIN_VECTORIZED
static void add_soft_pruned(std::span<const real> used, const real* values, real strength, real* __restrict gradients) {
    for (std::size_t k = 0; k < used.size(); ++k) gradients[k] += strength * (1 - used[k]) * values[k];
}

void SoftPrunedWeights::load_marks(std::span<const real> marks, std::uint64_t version) {
    used_.resize(marks.size());
    std::ranges::transform(marks, used_.begin(), [](real mark) { return mark == 0 ? real{1} : real{0}; });
    waiting_.clear();
    for (std::size_t k = 0; k < marks.size(); ++k)
        if (marks[k] == frozen) waiting_.push_back(k);
    any_ = std::ranges::any_of(marks, [](real mark) { return mark != 0; });
    version_ = version;
}

void SoftPrunedWeights::remove(Arena& arena) const {
    if (any_) multiply(used_, arena.values().data());
}

void SoftPrunedWeights::decay(Arena& arena, real strength) const {
    if (any_ && strength != 0) add_soft_pruned(used_, arena.values().data(), strength, arena.gradients().data());
}

void SoftPrunedWeights::save_frozen(Arena& arena) {
    held_.clear();
    for (const std::size_t place : waiting_) {
        held_.push_back(arena.values()[place]);
        arena.gradients()[place] = 0;
    }
}

void SoftPrunedWeights::restore_frozen(Arena& arena, const std::vector<std::string>& slots) const {
    for (std::size_t i = 0; i < waiting_.size(); ++i) arena.values()[waiting_[i]] = held_[i];
    const std::size_t first = arena.slot_range().first;
    for (const auto& name : slots) {
        const auto slot = arena.slot(arena.slot_number(name));
        for (const std::size_t place : waiting_)
            if (place - first < slot.size()) slot[place - first] = 0;  // the others are another rank's
    }
}

SoftPrunedWeights::MaskScope::MaskScope(SoftPrunedWeights& weights, Arena& arena, const Communicator& replicas)
    : arena_(arena) {
    if (arena.has_slot(soft_pruned_slot) && !weights.is_current(arena.version())) {
        std::vector<real> marks(arena.values().size());
        all_gather_slot(arena, arena.slot_number(soft_pruned_slot), replicas, marks);
        weights.load_marks(marks, arena.version());
    }
    if (!weights.any_ || weights.hiding_) return;
    weights_ = &weights;
    weights.hiding_ = true;
    weights.values_.assign(arena.values().begin(), arena.values().end());
    weights.remove(arena);
}

SoftPrunedWeights::MaskScope::~MaskScope() {
    if (!weights_) return;
    std::ranges::copy(weights_->values_, arena_.values().begin());
    weights_->hiding_ = false;
}

void mark_soft_pruned(Arena& arena, const std::vector<std::vector<std::uint8_t>>& used,
                      const std::vector<std::vector<std::uint8_t>>& trained) {
    const auto marks = arena.slot(arena.slot_number(soft_pruned_slot));
    arena.mark_changed();
    for (std::size_t i = 0; i < used.size(); ++i) {
        const Block own = arena.slot_range(i);
        for (index_t k = own.first; k < own.first + own.size; ++k) {
            const std::size_t place = k - arena.offset(i);
            real& mark = marks[k - arena.slot_range().first];
            if (used[i].empty() || used[i][place]) mark = 0;
            else mark = trained.empty() || trained[i][place] ? soft_pruned : frozen;
        }
    }
}

std::vector<index_t> count_soft_pruned(Arena& arena, const Grid& grid) {
    const auto marks = arena.slot(arena.slot_number(soft_pruned_slot));
    std::vector<std::uint64_t> counts;
    for (std::size_t i = 0; i < arena.parameters().size(); ++i) {
        const Block own = arena.slot_range(i);
        const auto first = marks.begin() + (own.first - arena.slot_range().first);
        counts.push_back(static_cast<std::uint64_t>(own.size - std::count(first, first + own.size, real{0})));
    }
    (arena.state_is_partitioned() ? grid.world() : grid.shards()).all_reduce_sum(std::span(counts));
    return {counts.begin(), counts.end()};
}

}  // namespace pruntrain
