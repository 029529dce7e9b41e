#include "pruntrain/parallel/redistribution.hpp"

#include <algorithm>

#include "pruntrain/parallel/state_partition.hpp"

namespace pruntrain {

void redistribute(Network& from, Network& to, const Grid& grid, std::optional<StatePartition> sharing,
                  const RouteOf& route_of) {
    const Communicator& shards = grid.shards();
    Arena &old_arena = from.arena(), &arena = to.arena();
    const std::size_t count = arena.parameters().size();
    std::vector<Route> routes(count);  // per parameter, like the next arrays
    std::vector<Pattern> patterns(count);
    std::vector<std::vector<real>> values(count);
    std::size_t next = 0;
    for (std::size_t i = 0; i < from.layer_count(); ++i) {
        for (const Parameter* parameter : from.layer(i).parameters()) {
            Route& route = routes[next];
            route = route_of(i, parameter->pattern, parameter->has_all_columns(), parameter->tensor_columns());
            patterns[next] = std::move(route.pattern);
            values[next] = route.move(std::span<const real>(parameter->value), shards);
            arena.parameters()[next++]->full_shape = parameter->full_shape;
        }
        const auto old_statistics = from.layer(i).statistics(), statistics = to.layer(i).statistics();
        for (std::size_t k = 0; k < statistics.size(); ++k) {
            const std::span<const real> old(old_statistics[k]->values);
            statistics[k]->values = route_of(i, Pattern(std::ssize(old), 1), true, 1).move(old, shards);
        }
    }
    arena.reset(patterns);
    for (std::size_t i = 0; i < count; ++i) {
        std::ranges::copy(values[i], arena.parameters()[i]->value.begin());
        values[i] = {};
    }
    arena.create_slots(old_arena.slot_names(), std::move(sharing));
    for (std::size_t slot = 0; slot < arena.slot_names().size(); ++slot) {
        AlignedVector<real> whole(old_arena.size());
        all_gather_slot(old_arena, slot, grid.replicas(), whole);
        const std::span<const real> all(whole);
        for (std::size_t i = 0; i < count; ++i) {
            const auto moved =
                routes[i].move(all.subspan(old_arena.offset(i), old_arena.parameters()[i]->value.size()), shards);
            const Block own = arena.slot_range(i);
            std::copy_n(moved.begin() + (own.first - arena.offset(i)), own.size,
                        arena.slot(slot).begin() + (own.first - arena.slot_range().first));
        }
    }
}

}  // namespace pruntrain
