// R = lambda sum over rows g of sqrt(|g|) ||w_g||, the group lasso (Yuan & Lin 2006; Wen et al. 2016 for networks): the
// weights of a row, all into one unit or output channel, are multiplied by max(0, 1 - step sqrt(|g|) / ||w_g||). |g|:
// the weights that the row still has.
#include <cmath>

#include "pruntrain/optim/regularizer.hpp"

namespace pruntrain {

namespace {

class GroupL2 final : public Regularizer {
   public:
    using Regularizer::Regularizer;
    void shrink(Parameter& parameter, double step, const Communicator& shards) const override {
        const Pattern& pattern = parameter.pattern;
        const auto values_of = [&](index_t row) {
            const index_t first = pattern.kept_before(row);
            return parameter.value.subspan(static_cast<std::size_t>(first),
                                           static_cast<std::size_t>(pattern.kept_before(row + 1) - first));
        };
        std::vector<double> sums;  // of each row: weights, their squares
        for (index_t row = 0; row < pattern.rows(); ++row) {
            double squares = 0;
            for (const real value : values_of(row)) squares += static_cast<double>(value) * static_cast<double>(value);
            sums.insert(sums.end(), {static_cast<double>(values_of(row).size()), squares});
        }
        if (!parameter.has_all_columns()) shards.sum(std::span(sums));
        for (index_t row = 0; row < pattern.rows(); ++row) {
            const double weights = sums[static_cast<std::size_t>(2 * row)];
            const double squares = sums[static_cast<std::size_t>(2 * row + 1)];
            if (squares == 0) continue;
            const double factor = 1 - step * std::sqrt(weights / squares);
            for (real& value : values_of(row))
                value = factor > 0 ? static_cast<real>(factor * static_cast<double>(value)) : 0;
        }
    }
};

}  // namespace

std::unique_ptr<Regularizer> make_group_l2(const Config& config) { return std::make_unique<GroupL2>(config); }

}  // namespace pruntrain
