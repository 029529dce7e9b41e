#include "pruntrain/parallel/state_partition.hpp"

#include <algorithm>

namespace pruntrain {

namespace {

/// The range of a replica, aligned to cache lines.
Block range_of(index_t size, int rank, int ranks) {
    constexpr index_t line = 64 / sizeof(real);
    const Block lines = even_block((size + line - 1) / line, rank, ranks);
    const index_t first = std::min(lines.first * line, size);
    return {first, std::min((lines.first + lines.size) * line, size) - first};
}

std::size_t common(const Block& a, const Block& b) {
    const index_t size = std::min(a.first + a.size, b.first + b.size) - std::max(a.first, b.first);
    return static_cast<std::size_t>(std::max<index_t>(0, size));
}

}  // namespace

std::vector<index_t> state_offsets(index_t size, index_t replicas) {
    std::vector<index_t> firsts;
    for (int rank = 0; rank < replicas; ++rank)
        firsts.push_back(range_of(size, rank, static_cast<int>(replicas)).first);
    firsts.push_back(size);
    return firsts;
}

StatePartition partition_state(const Communicator& replicas) {
    const auto own = [replicas](index_t size) { return range_of(size, replicas.rank(), replicas.size()); };
    const auto share_out = [replicas, own](const AlignedVector<real>& part, index_t first, index_t size) {
        const auto firsts = replicas.all_gather(static_cast<std::uint64_t>(first));
        const auto sizes = replicas.all_gather(part.size());
        const Block here{first, static_cast<index_t>(part.size())};
        std::vector<std::size_t> sent, received;
        for (int rank = 0; rank < replicas.size(); ++rank) {
            const std::size_t other = rank;
            sent.push_back(common(here, range_of(size, rank, replicas.size())));
            received.push_back(
                common(own(size), {static_cast<index_t>(firsts[other]), static_cast<index_t>(sizes[other])}));
        }
        AlignedVector<real> result(own(size).size);
        replicas.all_to_all_v(std::span<const real>(part), sent, std::span(result), received);
        return result;
    };
    return {own, share_out};
}

void all_gather_slot(Arena& arena, std::size_t number, const Communicator& replicas, std::span<real> whole) {
    const auto own = arena.slot(number);
    if (arena.state_is_partitioned()) replicas.all_gather_v(own, whole, replicas.all_gather(own.size()));
    else std::ranges::copy(own, whole.begin());
}

void all_gather_values(Arena& arena, const Communicator& replicas) {
    const std::vector<index_t> firsts = state_offsets(arena.size(), replicas.size());
    std::vector<std::size_t> sizes;
    for (std::size_t rank = 0; rank + 1 < firsts.size(); ++rank)
        sizes.push_back(static_cast<std::size_t>(firsts[rank + 1] - firsts[rank]));
    const Block own = arena.slot_range();
    const auto values = arena.values();
    replicas.all_gather_v(values.subspan(own.first, own.size), values, sizes);
}

}  // namespace pruntrain
