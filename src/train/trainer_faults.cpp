// Trainer: numbers that are not finite, and files that cannot be written.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/train/trainer.hpp"

namespace pruntrain {

namespace {

constexpr int most_skips = 10;          // in a row: a spoilt sample is one step, what goes on is the recipe
constexpr double rate_share = 0.5;      // of the learning rate after going back
constexpr double least_factor = 0.125;  // after three times

}  // namespace

PRUNTRAIN_VECTORIZED
static bool all_finite(std::span<const real> values) {
    using Bits = std::conditional_t<sizeof(real) == 4, std::uint32_t, std::uint64_t>;
    const Bits exponent = std::bit_cast<Bits>(std::numeric_limits<real>::infinity());
    Bits found = 0;  // no branch, so that it is a vector loop
    for (const real value : values) found |= Bits{(std::bit_cast<Bits>(value) & exponent) == exponent};
    return found == 0;
}

std::string Trainer::what_is_not_finite(bool to_owners) {
    Arena& arena = network_.arena();
    // What this rank has the sums of; without shards all replicas have the same.
    const bool own_part = to_owners && arena.state_is_partitioned();
    const Block own = own_part ? arena.slot_range() : Block{0, arena.size()};
    const auto gradients =
        arena.gradients().subspan(static_cast<std::size_t>(own.first), static_cast<std::size_t>(own.size));
    std::uint64_t spoilt = !std::isfinite(sums_[0]) || !all_finite(gradients) ? 1 : 0;
    if (own_part || grid_.model_shards() > 1) world_.all_reduce_sum(std::span(&spoilt, 1));
    if (spoilt == 0) return {};
    // The arena runs from the last layer to the first, as backward does: the first that it finds is where it began.
    index_t first = std::ssize(arena.parameters());
    for (index_t i = first; i-- > 0;)
        if (!all_finite(arena.parameters()[static_cast<std::size_t>(i)]->gradient)) first = i;
    const auto firsts = world_.all_gather(first);
    first = *std::ranges::min_element(firsts);
    std::string loss = text("the loss is ", sums_[0]);
    if (first == std::ssize(arena.parameters())) return loss;
    const std::string& name = arena.parameters()[static_cast<std::size_t>(first)]->full_name();
    return text(std::isfinite(sums_[0]) ? "" : loss + ", ", "the gradient of ", name, " is not finite");
}

Trainer::NextUpdate Trainer::check_gradients(bool to_owners) {
    const std::string what = what_is_not_finite(to_owners);
    if (what.empty()) {
        skips_ = 0;
        return NextUpdate::apply;
    }
    const std::string& policy = experiment_.settings.non_finite;
    const std::string where = text(what, " at step ", state_.step + 1, " (epoch ",
                                   fixed(experiment_.length.epoch(static_cast<double>(state_.step)), 2),
                                   ", learning rate ", exact(learning_rate_at(state_.step)), ")");
    const auto stop = [&](const std::string& why) {
        input_error(
            where, why,
            ": lower optimizer.learning_rate, set optimizer.clip_norm, or look for bad samples; nothing after step ",
            std::max({saved_step_, writing_step_, index_t{0}}), " is saved");
    };
    if (policy == "skip") {
        if (++skips_ > most_skips) stop(text(", after ", most_skips, " skipped steps in a row"));
        progress_.note(text("warning: ", where, ": the step is skipped"));
        count_step();
        return NextUpdate::skip;
    }
    if (policy == "stop") stop("");
    const double factor = state_.rate_factor * rate_share, seconds_before = seconds_before_;
    if (factor < least_factor) stop(text(", at ", exact(state_.rate_factor), " of it after going back"));
    progress_.note(text("warning: ", where, ": back to the last checkpoint, with ", exact(factor), " of the rate"));
    finish_writing();
    if (!resume()) stop(", and there is no checkpoint to go back to");
    seconds_before_ = seconds_before;  // they were spent
    state_.rate_factor = factor;
    reducer_.reset_residual();
    soft_pruned_.invalidate();
    batch_step_ = -1;
    if (world_.is_root()) folder_.write_history(history_, network_);
    return NextUpdate::again;
}

void Trainer::append_history(const HistoryRow& row) {
    if (!world_.is_root()) return;
    try {
        if (history_is_behind_) folder_.write_history(history_, network_);
        else folder_.append_history(row, network_);
        history_is_behind_ = false;
    } catch (const std::exception& error) {
        if (experiment_.settings.stops_on_write_failure) throw;
        history_is_behind_ = true;
        progress_.note(text("warning: ", error.what(), "; training goes on, the row is written with the next one"));
    }
}

bool Trainer::tolerates(const std::string& failure) {
    const bool failed = world_.all_reduce_max(index_t{failure.empty() ? 0 : 1}) == 1;
    if (!failed || experiment_.settings.stops_on_write_failure) return false;
    progress_.note(text("warning: ", failure, "; training goes on, older checkpoints stay"));
    return true;
}

}  // namespace pruntrain
