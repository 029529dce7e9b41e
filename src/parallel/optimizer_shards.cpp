#include "pruntrain/parallel/optimizer_shards.hpp"

#include <algorithm>

namespace pruntrain {

namespace {

/// The range of a replica, cut on cache lines.
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

std::vector<index_t> first_slots(index_t size, index_t replicas) {
    std::vector<index_t> firsts;
    for (int rank = 0; rank < replicas; ++rank)
        firsts.push_back(range_of(size, rank, static_cast<int>(replicas)).first);
    firsts.push_back(size);
    return firsts;
}

SlotSharing share_slots(const Communicator& replicas) {
    const auto own = [replicas](index_t size) { return range_of(size, replicas.rank(), replicas.size()); };
    const auto share_out = [replicas, own](const AlignedVector<real>& part, index_t first, index_t size) {
        const auto firsts = replicas.gather_to_all(static_cast<std::uint64_t>(first));
        const auto sizes = replicas.gather_to_all(part.size());
        const Block here{first, static_cast<index_t>(part.size())};
        std::vector<std::size_t> sent, received;
        for (int rank = 0; rank < replicas.size(); ++rank) {
            const auto other = static_cast<std::size_t>(rank);
            sent.push_back(common(here, range_of(size, rank, replicas.size())));
            received.push_back(
                common(own(size), {static_cast<index_t>(firsts[other]), static_cast<index_t>(sizes[other])}));
        }
        AlignedVector<real> result(static_cast<std::size_t>(own(size).size));
        replicas.exchange_blocks(std::span<const real>(part), sent, std::span(result), received);
        return result;
    };
    return {own, share_out};
}

void gather_slot(Arena& arena, std::size_t number, const Communicator& replicas, std::span<real> whole) {
    const auto own = arena.slot(number);
    if (arena.shares_slots()) replicas.gather_blocks_to_all(own, whole, replicas.gather_to_all(own.size()));
    else std::ranges::copy(own, whole.begin());
}

void gather_values(Arena& arena, const Communicator& replicas) {
    const std::vector<index_t> firsts = first_slots(arena.size(), replicas.size());
    std::vector<std::size_t> sizes;
    for (std::size_t rank = 0; rank + 1 < firsts.size(); ++rank)
        sizes.push_back(static_cast<std::size_t>(firsts[rank + 1] - firsts[rank]));
    const Block own = arena.slot_range();
    const auto values = arena.values();
    replicas.gather_blocks_to_all(
        values.subspan(static_cast<std::size_t>(own.first), static_cast<std::size_t>(own.size)), values, sizes);
}

}  // namespace pruntrain
