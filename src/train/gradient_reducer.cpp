#include "pruntrain/train/gradient_reducer.hpp"

#include <algorithm>

namespace pruntrain {

void GradientReducer::begin(std::span<real> gradients) {
    gradients_ = gradients;
    started_ = 0;
}

void GradientReducer::ready(index_t finished) {
    if (replicas_.size() == 1) return;
    const index_t size = values_reduced();
    while (started_ < size) {
        const index_t end = std::min(started_ + bucket_values, size);
        if (end > finished) break;
        pending_.push_back(replicas_.start_sum(
            gradients_.subspan(static_cast<std::size_t>(started_), static_cast<std::size_t>(end - started_))));
        started_ = end;
    }
    for (auto& bucket : pending_) bucket.done();
}

void GradientReducer::finish() {
    ready(values_reduced());
    for (auto& bucket : pending_) bucket.wait();
    pending_.clear();
}

}  // namespace pruntrain
