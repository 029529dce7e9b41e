// The state of the optimizer, shared out over the replicas.
#pragma once

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/model/arena.hpp"

namespace pruntrain {

/// Each replica has the slots of an even range of the arena, in the order of the ranks (Rajbhandari et al. 2020,
/// "ZeRO", stage 1): it needs the sums of the gradients of that range, updates its values, and `all_gather_values`
/// brings them to all. Memory for slots divides by the replicas. An update depends on its own number only, so the
/// values are the same bits as without sharing.
StatePartition partition_state(const Communicator& replicas);

/// Of an arena of so many numbers the first of each replica, and the number of all.
std::vector<index_t> state_offsets(index_t size, index_t replicas);

/// The numbers of a slot for all weights of this rank's shard. Collective. @param whole  set: as long as the arena
void all_gather_slot(Arena& arena, std::size_t number, const Communicator& replicas, std::span<real> whole);

/// After each replica has updated the values of its own range. Collective.
void all_gather_values(Arena& arena, const Communicator& replicas);

}  // namespace pruntrain
