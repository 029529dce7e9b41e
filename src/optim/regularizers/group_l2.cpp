// R = lambda sum over groups g of sqrt(|g|) ||w_g||, the group lasso (Yuan & Lin 2006; Wen et al. 2016 for networks).
// The weights of a group are multiplied by max(0, 1 - step sqrt(|g|) / ||w_g||), where |g| is the number of remaining
// weights. A group is a row, all weights into one unit or output channel, or a column, all weights out of one input or
// input channel.
#include <algorithm>
#include <cmath>

#include "pruntrain/optim/regularizer.hpp"

namespace pruntrain {

namespace {

/// Partial sums of a group.
struct Group {
    double weights = 0, squares = 0;
};

/// The factor of each group's weights; 1 where all of them are 0.
std::vector<double> factors_of(std::vector<Group> groups, double step, bool over_shards, const Communicator& shards) {
    if (over_shards) {
        std::vector<double> sums;
        for (const Group& group : groups) sums.insert(sums.end(), {group.weights, group.squares});
        shards.all_reduce_sum(std::span(sums));
        for (std::size_t g = 0; g < groups.size(); ++g) groups[g] = {sums[2 * g], sums[2 * g + 1]};
    }
    std::vector<double> factors;
    for (const auto& [weights, squares] : groups)
        factors.push_back(squares == 0 ? 1 : std::max(0.0, 1 - step * std::sqrt(weights / squares)));
    return factors;
}

double square(real value) { return static_cast<double>(value) * static_cast<double>(value); }

class OfRows final : public Regularizer {
   public:
    using Regularizer::Regularizer;
    void shrink(Parameter& parameter, double step, const Communicator& shards) const override {
        const Pattern& pattern = parameter.pattern;
        const auto values_of = [&](index_t row) {
            const index_t first = pattern.kept_before(row);
            return parameter.value.subspan(first, pattern.kept_before(row + 1) - first);
        };
        std::vector<Group> rows;
        for (index_t row = 0; row < pattern.rows(); ++row) {
            rows.push_back({static_cast<double>(values_of(row).size()), 0});
            for (const real value : values_of(row)) rows.back().squares += square(value);
        }
        const auto factors = factors_of(std::move(rows), step, !parameter.has_all_columns(), shards);
        for (index_t row = 0; row < pattern.rows(); ++row)
            for (real& value : values_of(row)) value = static_cast<real>(factors[row] * static_cast<double>(value));
    }
};

class OfColumns final : public Regularizer {
   public:
    using Regularizer::Regularizer;
    void shrink(Parameter& parameter, double step, const Communicator& shards) const override {
        const Pattern& pattern = parameter.pattern;
        const index_t of_input =
            size_of(std::span(parameter.tensor_shape).subspan(2));  // columns per input: 1, or k x k
        std::vector<std::size_t> input_of;                          // input of each column
        for (index_t column = 0; column < pattern.columns(); ++column)
            input_of.push_back(static_cast<std::size_t>(column / of_input));
        const auto for_each_weight = [&](auto work) {
            for (index_t row = 0; row < pattern.rows(); ++row) {
                const index_t first = pattern.kept_before(row), last = pattern.kept_before(row + 1);
                for (index_t k = first; k < last; ++k)
                    work(input_of[pattern.full() ? k - first : pattern.column_indices()[k]], parameter.value[k]);
            }
        };
        std::vector<Group> inputs(pattern.columns() / of_input);
        for_each_weight([&](std::size_t input, real value) {
            ++inputs[input].weights;
            inputs[input].squares += square(value);
        });
        const auto factors = factors_of(std::move(inputs), step, parameter.has_all_columns(), shards);
        for_each_weight([&](std::size_t input, real& value) {
            value = static_cast<real>(factors[input] * static_cast<double>(value));
        });
    }
};

}  // namespace

std::unique_ptr<Regularizer> make_group_l2(const Config& config) {
    const std::string over =
        config.choice("over", "rows", {"rows", "columns"},
                      "groups; rows: the weights into a unit or channel; columns: those out of an input");
    if (over == "columns") return std::make_unique<OfColumns>(config);
    return std::make_unique<OfRows>(config);
}

}  // namespace pruntrain
