#include "pruntrain/train/rank_memory.hpp"

#include <algorithm>

namespace pruntrain {

double PackedSizes::bytes(index_t removed, double arrays) const {
    const index_t indices = removed > 0 ? (prunable - removed) * 4 + pointers * 8 : 0;
    return static_cast<double>(size - removed) * arrays * sizeof(real) + static_cast<double>(indices);
}

PackedSizes packed_model(const Network& network) {
    PackedSizes all;
    for (const auto* parameter : network.parameters()) {
        all.size += parameter->tensor_size();
        all.largest = std::max(all.largest, parameter->tensor_size());
        if (!parameter->prunable) continue;
        all.prunable += parameter->tensor_size();
        all.pointers += parameter->tensor_shape[0] + 1;
    }
    return all;
}

PackedSizes packed_shard(const Network& network) {
    PackedSizes own;
    for (const auto* parameter : network.parameters()) {
        own.size += parameter->pattern.dense_size();
        own.largest = std::max(own.largest, parameter->pattern.dense_size());
        if (!parameter->prunable) continue;
        own.prunable += parameter->pattern.dense_size();
        own.pointers += parameter->pattern.rows() + 1;
    }
    return own;
}

index_t removed_of_shard(const Network& network, index_t removed) {
    const PackedSizes all = packed_model(network), own = packed_shard(network);
    if (own.prunable == all.prunable) return removed;
    return static_cast<index_t>(static_cast<double>(removed) * static_cast<double>(own.prunable) /
                                static_cast<double>(all.prunable));
}

RankMemory memory_of_rank(const Experiment& experiment, index_t removed) {
    const Network& network = experiment.network;
    const index_t replicas = experiment.grid.replica_count();
    const PackedSizes own = packed_shard(network);
    const index_t own_removed = removed_of_shard(network, removed);
    const auto slots = static_cast<double>(experiment.optimizer->slot_names().size());
    const double arrays = 2 + slots / static_cast<double>(experiment.settings.shard_optimizer ? replicas : 1);
    RankMemory memory;
    memory.packed = own.bytes(own_removed, arrays);
    memory.activations =
        static_cast<double>(network.activation_bytes(experiment.slice_samples(replicas), experiment.slices_of_rank()));
    if (removed == 0) return memory;
    memory.unpacked = static_cast<double>(own.prunable) * sizeof(real);
    // An offset a weight for the product; offset, source and value for the transposed one.
    memory.plans = static_cast<double>((own.prunable - own_removed) *
                                       static_cast<index_t>(3 * sizeof(std::uint32_t) + sizeof(real)));
    // A score and a flag of each weight; then the flags, an index of what stays, and a second copy of one array.
    memory.event = static_cast<double>(own.prunable) * (1 + sizeof(std::int32_t) + sizeof(real));
    return memory;
}

}  // namespace pruntrain
