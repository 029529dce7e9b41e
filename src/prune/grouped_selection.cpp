#include "pruntrain/prune/grouped_selection.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

namespace {

constexpr int sum_bits = 62;

/// What a weight adds to the score of its group, before the mean is taken. A score below 0 keeps its sign.
double share(GroupNorm norm, real score) {
    const double value = static_cast<double>(score);
    return norm == GroupNorm::l2 ? value * std::abs(value) : value;
}

/// A sum as a number without sign, of the same order.
std::uint64_t ordered(std::int64_t sum) { return static_cast<std::uint64_t>(sum) ^ std::uint64_t{1} << 63; }

}  // namespace

template <class Work>
void GroupedSelection::for_each_weight(const Scored& scored, Work work) const {
    const Parameter& parameter = *scored.parameter;
    const index_t columns = parameter.pattern.columns();
    parameter.pattern.for_each_position([&](index_t k, index_t position) {
        const index_t group = granularity_.group_of(parameter.tensor_shape, parameter.first_row + position / columns,
                                                    parameter.first_column + position % columns);
        work(static_cast<std::size_t>(group), static_cast<std::size_t>(k));
    });
}

GroupedSelection::GroupedSelection(const Granularity& granularity, std::span<const Scored> scored, const Grid& grid)
    : granularity_(granularity), grid_(grid) {
    std::vector<std::vector<std::uint64_t>> weights;
    double largest = 0;
    std::uint64_t fullest = 1, number = 0;
    for (const Scored& tensor : scored) {
        weights.emplace_back(static_cast<std::size_t>(granularity.count(tensor.parameter->tensor_shape)), 0);
        for_each_weight(tensor, [&](std::size_t group, std::size_t k) {
            ++weights.back()[group];
            largest = std::max(largest, std::abs(share(granularity.norm(), tensor.scores[k])));
        });
        grid.shards().all_reduce_sum(std::span(weights.back()));
        for (const std::uint64_t count : weights.back()) fullest = std::max(fullest, count);
    }
    largest = grid.world().all_reduce_max(largest);
    // largest < 2^exponent; so many terms of at most 2^(exponent + shift) fit.
    int exponent = 0;
    std::frexp(largest, &exponent);
    const int shift = sum_bits - static_cast<int>(std::bit_width(fullest)) - exponent;
    for (std::size_t i = 0; i < scored.size(); ++i) {
        std::vector<std::uint64_t> sums(weights[i].size(), 0);  // of signed integers: additions are the same
        for_each_weight(scored[i], [&](std::size_t group, std::size_t k) {
            sums[group] += static_cast<std::uint64_t>(
                std::llround(std::ldexp(share(granularity.norm(), scored[i].scores[k]), shift)));
        });
        grid.shards().all_reduce_sum(std::span(sums));
        tensors_.push_back({number, {}});
        for (std::size_t g = 0; g < sums.size(); ++g) {
            auto score = static_cast<std::int64_t>(sums[g]);
            if (granularity.norm() == GroupNorm::mean && weights[i][g] > 0)
                score /= static_cast<std::int64_t>(weights[i][g]);
            tensors_.back().groups.push_back({ordered(score), weights[i][g]});
        }
        number += sums.size();
    }
}

index_t GroupedSelection::choose(index_t keep, bool reach, std::span<const std::size_t> tensors) {
    if (keep <= 0) return 0;
    const auto candidate = [](const Group& group) { return group.weights > 0 && !group.chosen; };
    // All ranks know all groups; each counts its part.
    const std::size_t rank = grid_.world().rank();
    const std::size_t ranks = grid_.world().size();
    const auto for_each_own = [&](auto work) {
        for (const std::size_t i : tensors) {
            const auto& groups = tensors_[i].groups;
            for (std::size_t g = groups.size() * rank / ranks; g < groups.size() * (rank + 1) / ranks; ++g)
                if (candidate(groups[g])) work(groups[g], tensors_[i].first_number + g);
        }
    };
    std::uint64_t all = 0;
    for (const std::size_t i : tensors)
        for (const Group& group : tensors_[i].groups) all += candidate(group) ? group.weights : 0;
    const bool everything = all <= static_cast<std::uint64_t>(keep);
    std::uint64_t border = 0, border_number = 0;  // the group that holds the last weight, or the first one too many
    if (!everything) {
        const auto place = static_cast<std::uint64_t>(reach ? keep - 1 : keep);
        RadixSearch key(place, 64);
        while (!key.done()) {
            for_each_own([&](const Group& group, std::uint64_t) { key.count(group.score, group.weights); });
            key.end_round(grid_.world());
        }
        border = key.value();
        RadixSearch number(place - key.above(), 64);  // of ties the smallest numbers come first
        while (!number.done()) {
            for_each_own([&](const Group& group, std::uint64_t own) {
                if (group.score == border) number.count(~own, group.weights);
            });
            number.end_round(grid_.world());
        }
        border_number = ~number.value();
    }
    index_t chosen = 0;
    for (const std::size_t i : tensors)
        for (std::size_t g = 0; g < tensors_[i].groups.size(); ++g) {
            Group& group = tensors_[i].groups[g];
            if (!candidate(group)) continue;
            const std::uint64_t number = tensors_[i].first_number + g;
            const bool before = group.score > border || (group.score == border && number < border_number);
            if (!everything && !before && !(reach && group.score == border && number == border_number)) continue;
            group.chosen = true;
            chosen += static_cast<index_t>(group.weights);
        }
    return chosen;
}

void GroupedSelection::select(const SelectionGroup& group, const std::vector<PrunableLayer>& layers) {
    index_t keep = group.keep;
    for (const std::size_t i : group.layers) keep -= choose(layers[i].at_least, true, std::span(&i, 1));
    choose(keep, false, group.layers);
}

void GroupedSelection::mark(std::span<Scored> scored) const {
    for (std::size_t i = 0; i < scored.size(); ++i)
        for_each_weight(
            scored[i], [&](std::size_t group, std::size_t k) { scored[i].keep[k] = tensors_[i].groups[group].chosen; });
}

void keep_best_of_runs(const KeptOfRun& runs, Scored& scored) {
    const Pattern& pattern = scored.parameter->pattern;
    std::vector<std::size_t> run;  // packed positions
    index_t number = -1;           // of the run, over all rows
    const auto finish = [&] {
        std::stable_sort(run.begin(), run.end(),
                         [&](std::size_t a, std::size_t b) { return scored.scores[a] > scored.scores[b]; });
        for (std::size_t i = 0; i < run.size() && static_cast<index_t>(i) < runs.keep; ++i) scored.keep[run[i]] = 1;
        run.clear();
    };
    const index_t of_row = (pattern.columns() + runs.most - 1) / runs.most;
    pattern.for_each_position([&](index_t k, index_t position) {
        const index_t own = position / pattern.columns() * of_row + position % pattern.columns() / runs.most;
        if (own != number) finish();
        number = own;
        run.push_back(static_cast<std::size_t>(k));
    });
    finish();
}

}  // namespace pruntrain
