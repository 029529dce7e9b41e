#include "pruntrain/train/divergence_policy.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

constexpr int most_skips = 10;          // consecutive: a bad sample affects one step, more indicate a bad recipe
constexpr double rate_share = 0.5;      // factor on the learning rate per roll-back
constexpr double least_factor = 0.125;  // after three roll-backs

}  // namespace

PRUNTRAIN_VECTORIZED
static bool all_finite(std::span<const real> values) {
    using Bits = std::conditional_t<sizeof(real) == 4, std::uint32_t, std::uint64_t>;
    const Bits exponent = std::bit_cast<Bits>(std::numeric_limits<real>::infinity());
    Bits found = 0;  // no branch, so that the loop vectorizes
    for (const real value : values) found |= Bits{(std::bit_cast<Bits>(value) & exponent) == exponent};
    return found == 0;
}

std::string describe_non_finite(Arena& arena, const Grid& grid, double loss, bool to_owners) {
    // The range of sums that this rank has; without model shards all replicas have the same.
    const bool own_part = to_owners && arena.state_is_partitioned();
    const Block own = own_part ? arena.slot_range() : Block{0, arena.size()};
    const auto gradients = arena.gradients().subspan(own.first, own.size);
    std::uint64_t spoilt = !std::isfinite(loss) || !all_finite(gradients) ? 1 : 0;
    if (own_part || grid.model_shards() > 1) grid.world().all_reduce_sum(std::span(&spoilt, 1));
    if (spoilt == 0) return {};
    // Backward runs from the last layer to the first: the highest parameter index that is not finite is the origin.
    index_t parameter = std::ssize(arena.parameters());
    while (parameter-- > 0 && all_finite(arena.parameters()[parameter]->gradient)) continue;
    const auto found = grid.world().all_gather(static_cast<std::uint64_t>(parameter + 1));  // 0: none here
    const std::uint64_t last = *std::ranges::max_element(found);
    std::string of_loss = text("the loss is ", loss);
    if (last == 0) return of_loss;
    const std::string& name = arena.parameters()[last - 1]->full_name();
    return text(std::isfinite(loss) ? "" : of_loss + ", ", "the gradient of ", name, " is not finite");
}

void DivergencePolicy::stop(const std::string& what, const std::string& why, index_t saved_step) {
    input_error(
        what, why,
        ": lower optimizer.learning_rate, set optimizer.clip_norm, or look for bad samples; nothing after step ",
        saved_step, " is saved");
}

DivergencePolicy::Decision DivergencePolicy::decide(const std::string& found, const std::string& where,
                                                    index_t saved_step, double rate_factor) {
    if (found.empty()) {
        skips_ = 0;
        return {};
    }
    if (policy_ == NonFinite::skip) {
        if (++skips_ > most_skips)
            stop(found + where, text(", after ", most_skips, " consecutive skipped steps"), saved_step);
        return {Action::skip, rate_factor};
    }
    if (policy_ == NonFinite::stop) stop(found + where, "", saved_step);
    const double factor = rate_factor * rate_share;
    if (factor < least_factor)
        stop(found + where, text(", with a factor of ", exact(rate_factor), " on the learning rate after rolling back"),
             saved_step);
    return {Action::roll_back, factor};
}

}  // namespace pruntrain
