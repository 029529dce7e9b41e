#include "pruntrain/prune/block_fisher.hpp"

#include <algorithm>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

namespace {

/// product = matrix x vector, of a symmetric matrix (size, size); a gradient is often 0 in many places.
PRUNTRAIN_VECTORIZED
void multiply(index_t size, const double* matrix, const real* vector, double* __restrict product) {
    for (index_t i = 0; i < size; ++i) product[i] = 0;
    for (index_t j = 0; j < size; ++j) {
        const auto factor = static_cast<double>(vector[j]);
        if (factor == 0) continue;
        const double* const row = matrix + j * size;
        for (index_t i = 0; i < size; ++i) product[i] += factor * row[i];
    }
}

/// matrix -= vector x vector^T / divisor
PRUNTRAIN_VECTORIZED
void subtract_square(index_t size, const double* vector, double divisor, double* __restrict matrix) {
    for (index_t i = 0; i < size; ++i) {
        const double factor = vector[i] / divisor;
        for (index_t j = 0; j < size; ++j) matrix[i * size + j] -= factor * vector[j];
    }
}

}  // namespace

BlockFisher::BlockFisher(const Arena& arena, const FisherBlocks& settings, index_t gradients,
                         const Communicator& replicas)
    : settings_(settings), count_(gradients), replicas_(replicas) {
    std::vector<Place> all;
    for (std::size_t i = 0; i < arena.parameters().size(); ++i) {
        if (!arena.parameters()[i]->prunable) continue;
        const index_t kept = arena.parameters()[i]->pattern.kept();
        for (index_t first = 0; first < kept; first += settings.size)
            all.push_back(
                {i, first, std::min(settings.size, kept - first), static_cast<std::size_t>(arena.offset(i) + first)});
    }
    std::ranges::sort(all, {}, &Place::begin);  // a rank's blocks are a range of the arena
    const index_t ranks = replicas.size();
    const auto blocks_of = [&](index_t rank) { return even_block(std::ssize(all), rank, ranks); };
    const auto begin_of = [&](index_t rank) {
        const auto first = rank < ranks ? static_cast<std::size_t>(blocks_of(rank).first) : all.size();
        if (rank == 0) return std::size_t{0};
        return first < all.size() ? all[first].begin : static_cast<std::size_t>(arena.size());
    };
    for (index_t rank = 0; rank < ranks; ++rank) {
        offsets_.push_back(begin_of(rank));
        sizes_.push_back(begin_of(rank + 1) - offsets_.back());
    }
    const Block own = blocks_of(replicas.rank());
    blocks_.assign(all.begin() + own.first, all.begin() + own.first + own.size);
    gradients_.resize(static_cast<std::size_t>(count_) * own_size());
    const std::size_t size = settings.size;
    inverse_.resize(size * size);
    product_.resize(size);
}

void BlockFisher::add(std::span<const real> gradient) {
    const index_t senders = std::min<index_t>(replicas_.size(), count_ - added_);
    if (senders < 1) fault("more than ", count_, " gradients for a Fisher matrix");
    const std::vector<std::size_t> none(sizes_.size(), 0);
    std::vector<std::size_t> from(sizes_.size(), 0);
    std::fill_n(from.begin(), senders, own_size());
    replicas_.all_to_all_v(gradient, replicas_.rank() < senders ? sizes_ : none,
                           std::span<real>(gradients_).subspan(static_cast<std::size_t>(added_) * own_size()), from);
    added_ += senders;
}

void BlockFisher::invert(const Place& block) {
    std::fill(inverse_.begin(), inverse_.begin() + block.size * block.size, 0.0);
    for (index_t i = 0; i < block.size; ++i) inverse_[i * (block.size + 1)] = 1 / settings_.damping;
    for (index_t n = 0; n < count_; ++n) {
        const real* const g = gradients_.data() + static_cast<std::size_t>(n) * own_size() + block.begin - own_begin();
        multiply(block.size, inverse_.data(), g, product_.data());
        auto divisor = static_cast<double>(count_);
        for (index_t i = 0; i < block.size; ++i) divisor += static_cast<double>(g[i]) * product_[i];
        if (divisor > static_cast<double>(count_))  // else the gradient is 0
            subtract_square(block.size, product_.data(), divisor, inverse_.data());
    }
}

void BlockFisher::find_curvatures(std::span<real> curvatures) {
    if (added_ != count_) fault("a Fisher matrix of ", added_, " gradients instead of ", count_);
    const auto own = curvatures.subspan(own_begin(), own_size());
    std::ranges::fill(own, real{0});
    for (const Place& block : blocks_) {
        invert(block);
        for (index_t i = 0; i < block.size; ++i)
            curvatures[block.begin + static_cast<std::size_t>(i)] =
                static_cast<real>(1 / inverse_[i * (block.size + 1)]);
    }
    replicas_.all_gather_v(own, curvatures, sizes_);
}

void BlockFisher::compensate(Arena& arena, const std::vector<std::vector<std::uint8_t>>& keep) {
    const std::span<real> values = arena.values();
    std::vector<double> weights(product_.size());
    for (const Place& block : blocks_) {
        if (keep[block.parameter].empty()) continue;
        const std::uint8_t* const stays = keep[block.parameter].data() + block.first;
        if (std::all_of(stays, stays + block.size, [](std::uint8_t flag) { return flag != 0; })) continue;
        invert(block);
        const std::size_t size = block.size;
        const auto own = values.subspan(block.begin, size);
        std::ranges::copy(own, weights.begin());
        for (std::size_t q = 0; q < size; ++q) {
            if (stays[q]) continue;
            std::copy_n(inverse_.begin() + static_cast<std::ptrdiff_t>(q * size), size, product_.begin());
            const double diagonal = product_[q], step = weights[q] / diagonal;
            for (std::size_t i = 0; i < size; ++i) weights[i] -= step * product_[i];
            subtract_square(block.size, product_.data(), diagonal, inverse_.data());
        }
        for (std::size_t i = 0; i < size; ++i)
            if (stays[i]) own[i] = static_cast<real>(weights[i]);
    }
    replicas_.all_gather_v(values.subspan(own_begin(), own_size()), values, sizes_);
}

}  // namespace pruntrain
