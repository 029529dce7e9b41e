#include "pruntrain/parallel/gradient_reducer.hpp"

#include <algorithm>

#include "pruntrain/parallel/state_partition.hpp"

namespace pruntrain {

GradientReducer::GradientReducer(const Communicator& replicas, const Slices& slices)
    : replicas_(replicas),
      nodes_(nodes_of(slices.own().first, slices.own().size, slices.count())),
      sum_(replicas, replicas.node(), {slices.count(), nodes_}) {}

std::vector<NetworkStep::Term> GradientReducer::terms(Arena& arena) const {
    std::vector<NetworkStep::Term> terms;
    for (std::size_t i = 0; i < nodes_.size(); ++i)
        terms.push_back({nodes_[i], i == 0 ? arena.gradients().data() : sum_.term(i).data()});
    return terms;
}

void GradientReducer::begin(Arena& arena, bool to_owners) {
    size_ = arena.size();
    started_ = 0;
    if (replicas_.size() == 1) return;
    if (arena.version() != version_) sum_.reset_residual();  // the residual belongs to other weights
    version_ = arena.version();
    // Not after every prune event: allocation costs as much as several steps of a small network.
    const index_t held = sum_.values().size();
    if (arena.gradients().data() != sum_.values().data() || 4 * size_ < 3 * held)
        arena.place_gradients(sum_.allocate(size_));
    to_owners = to_owners && arena.state_is_partitioned();
    sum_.share_out(to_owners ? state_offsets(size_, replicas_.size()) : std::vector<index_t>());
}

void GradientReducer::ready(index_t finished) {
    if (replicas_.size() == 1) return;
    while (started_ < size_) {
        const index_t end = std::min(started_ + bucket_values, size_);
        if (end > finished) break;
        sum_.start(started_, end);
        started_ = end;
    }
    sum_.progress();
}

void GradientReducer::finish() {
    if (replicas_.size() == 1) return;
    ready(size_);
    sum_.finish();
    bytes_summed_ += size_ * static_cast<index_t>(sizeof(real));
}

}  // namespace pruntrain
