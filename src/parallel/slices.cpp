#include "pruntrain/parallel/slices.hpp"

#include <algorithm>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

Slices::Slices(const Communicator& ranks)
    : ranks_(ranks), ordered_(false), count_(ranks.size()), own_{ranks.rank(), 1}, most_(1) {}

Slices::Slices(const Communicator& ranks, index_t count)
    : ranks_(ranks), ordered_(true), count_(count), own_(even_block(count, ranks.rank(), ranks.size())) {
    check(count, ranks.size());
    most_ = ranks_.all_reduce_max(own_.size);
    std::vector<TreeNode> nodes;
    for (index_t slice = 0; slice < count; ++slice) nodes.push_back({slice, 1});
    tree_ = reduce_terms(nodes, count);
}

void Slices::check(index_t count, index_t ranks) {
    if (count >= ranks) return;
    input_error("train.slices is ", count, ", but there are ", ranks,
                " ranks, and each needs a slice of the batch: run at most ", count,
                " ranks, or increase train.slices (then sums have another order, and results differ in rounding)");
}

Slices::Sum Slices::start_sum(std::span<const double> rows) const {
    Sum sum{{rows.begin(), rows.end()}, {}};
    if (!ordered_) {
        sum.pending = ranks_.start_all_reduce_sum(std::span<double>(sum.rows));
        return sum;
    }
    const std::size_t numbers = rows.size() / static_cast<std::size_t>(own_.size);
    sum.rows.resize(static_cast<std::size_t>(most_) * numbers * static_cast<std::size_t>(1 + ranks_.size()));
    const auto own = std::span(sum.rows).last(static_cast<std::size_t>(most_) * numbers);
    std::ranges::copy(rows, own.begin());
    sum.pending =
        ranks_.start_all_gather(std::span<const double>(own), std::span(sum.rows).first(sum.rows.size() - own.size()));
    return sum;
}

void Slices::finish(Sum sum, std::span<double> totals) const {
    sum.pending.wait();
    if (ordered_) {
        std::vector<double*> of_slice;
        for (int rank = 0; rank < ranks_.size(); ++rank)
            for (index_t i = 0; i < even_block(count_, rank, ranks_.size()).size; ++i)
                of_slice.push_back(sum.rows.data() + (rank * most_ + i) * static_cast<index_t>(totals.size()));
        for (const auto& [into, from] : tree_.additions)
            for (std::size_t i = 0; i < totals.size(); ++i) of_slice[into][i] += of_slice[from][i];
    }
    std::copy_n(sum.rows.begin(), totals.size(), totals.begin());
}

}  // namespace pruntrain
