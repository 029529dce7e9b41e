// Reaction to a loss or gradient that is not finite.
#pragma once

#include <string>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/config/choose.hpp"
#include "pruntrain/model/arena.hpp"

namespace pruntrain {

/// Names the loss, or the layer in which backward met the first gradient that is not finite; empty: all are finite.
/// Collective: the same result on all ranks.
/// @param to_owners  each rank has only the sums for which it has optimizer state
std::string describe_non_finite(Arena& arena, const Grid& grid, double loss, bool to_owners);

/// What to do about a loss or gradient that is not finite.
enum class NonFinite { stop, skip, roll_back };
/// The words of train.non_finite.
inline const std::vector<EnumWord<NonFinite>> non_finite_policies{
    {"stop", NonFinite::stop}, {"skip", NonFinite::skip}, {"roll_back", NonFinite::roll_back}};

/// The policy of train.non_finite.
class DivergencePolicy {
   public:
    explicit DivergencePolicy(NonFinite policy) : policy_(policy) {}

    enum class Action {
        apply,      ///< all values are finite
        skip,       ///< this step has no update
        roll_back,  ///< to the last checkpoint, with `rate_factor` on the learning rate
    };
    struct Decision {
        Action action = Action::apply;
        double rate_factor = 1;
    };
    /// @param found        result of `describe_non_finite`
    /// @param where        " at step 12 (..)", for messages
    /// @param saved_step   of the newest checkpoint
    /// @param rate_factor  the current one
    /// @throws InputError if the run has to end
    Decision decide(const std::string& found, const std::string& where, index_t saved_step, double rate_factor);
    /// Ends a run that cannot roll back. @throws InputError
    [[noreturn]] static void stop(const std::string& what, const std::string& why, index_t saved_step);

   private:
    NonFinite policy_;
    int skips_ = 0;  ///< consecutive skips
};

}  // namespace pruntrain
