#include "pruntrain/plan/rank_memory.hpp"

#include <algorithm>

namespace pruntrain {

double PackedSizes::bytes(index_t removed, double arrays) const {
    const index_t indices = removed > 0 ? (prunable - removed) * 4 + pointers * 8 : 0;
    return static_cast<double>(size - removed) * arrays * sizeof(real) + static_cast<double>(indices);
}

namespace {

/// @param size, rows  functions of a parameter
template <class Size, class Rows>
PackedSizes packed(const Network& network, Size size, Rows rows) {
    PackedSizes sum;
    for (const auto* parameter : network.parameters()) {
        sum.size += size(*parameter);
        sum.largest = std::max(sum.largest, size(*parameter));
        if (!parameter->prunable) continue;
        sum.prunable += size(*parameter);
        sum.pointers += rows(*parameter) + 1;
    }
    return sum;
}

/// Temporary arrays of an event, as long as the values, that the score input of the criterion or the regrowth needs.
index_t arrays_of_event(const Experiment& experiment) {
    const auto arrays = [&](const ScoreInput* input) {
        return input ? input->arrays_held(experiment.grid.replica_count(), experiment.slices_of_rank()) : index_t{0};
    };
    const Regrowth* const regrowth = experiment.pruner->regrowth();
    return std::max(arrays(experiment.pruner->criterion().score_input()),
                    arrays(regrowth ? regrowth->score_input() : nullptr));
}

}  // namespace

PackedSizes packed_model(const Network& network) {
    return packed(
        network, [](const Parameter& parameter) { return parameter.tensor_size(); },
        [](const Parameter& parameter) { return parameter.tensor_shape[0]; });
}

PackedSizes packed_shard(const Network& network) {
    return packed(
        network, [](const Parameter& parameter) { return parameter.pattern.dense_size(); },
        [](const Parameter& parameter) { return parameter.pattern.rows(); });
}

index_t removed_of_shard(const Network& network, index_t removed) {
    const PackedSizes all = packed_model(network), own = packed_shard(network);
    if (own.prunable == all.prunable) return removed;
    return static_cast<index_t>(static_cast<double>(removed) * static_cast<double>(own.prunable) /
                                static_cast<double>(all.prunable));
}

RankMemory memory_of_rank(const Experiment& experiment, index_t removed) {
    const Network& network = experiment.model.network();
    const index_t replicas = experiment.grid.replica_count();
    const PackedSizes own = packed_shard(network);
    const index_t own_removed = removed_of_shard(network, removed);
    const auto state = static_cast<double>(experiment.slot_names().size());
    const double hiding = experiment.pruner && experiment.pruner->soft_prunes() ? 2 : 0;  // arrays of SoftPrunedWeights
    const double arrays = 2 + hiding + state / static_cast<double>(experiment.settings.shard_optimizer ? replicas : 1);
    RankMemory memory;
    memory.packed = own.bytes(own_removed, arrays);
    memory.activations =
        static_cast<double>(network.activation_bytes(experiment.slice_samples(replicas), experiment.slices_of_rank()));
    if (removed == 0) return memory;
    memory.unpacked = static_cast<double>(own.prunable) * sizeof(real);
    // An offset per weight for the product; offset, source and value for the transposed one.
    memory.plans = static_cast<double>((own.prunable - own_removed) *
                                       static_cast<index_t>(3 * sizeof(std::uint32_t) + sizeof(real)));
    // A score and a flag per weight; then the flags, the indices of the remaining weights, and a second copy of one
    // array.
    memory.event = static_cast<double>(own.prunable) * (1 + sizeof(std::int32_t) + sizeof(real));
    const auto before = static_cast<double>(arrays_of_event(experiment) * own.size) * sizeof(real);
    memory.event = std::max(memory.event, before);
    return memory;
}

}  // namespace pruntrain
