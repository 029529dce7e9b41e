// Optimizer state partitioned over the replicas (ZeRO stage 1).
#pragma once

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/model/arena.hpp"

namespace pruntrain {

/// Each replica has the optimizer state of an even range of the arena, in rank order (Rajbhandari et al. 2020, "ZeRO",
/// stage 1). It needs the gradient sums of that range only and updates its values; `all_gather_values` sends them to
/// all. The memory of the state is divided by the replicas. Updates are element by element, so the values are
/// bit-identical to those without partitioning.
StatePartition partition_state(const Communicator& replicas);

/// For an arena of this size: the first element of each replica, and the total.
std::vector<index_t> state_offsets(index_t size, index_t replicas);

/// Gathers one array of optimizer state for all weights of this rank's shard. Collective.
/// @param whole  set: as long as the arena
void all_gather_slot(Arena& arena, std::size_t number, const Communicator& replicas, std::span<real> whole);

/// Call it after each replica has updated the values of its own range. Collective.
void all_gather_values(Arena& arena, const Communicator& replicas);

}  // namespace pruntrain
