#include "pruntrain/parallel/model.hpp"

#include "pruntrain/base/text.hpp"
#include "pruntrain/parallel/exchange_layer.hpp"
#include "pruntrain/parallel/partition.hpp"
#include "pruntrain/parallel/state_partition.hpp"

namespace pruntrain {

Model::Model(std::vector<Config> layers, const Shape& input, const Grid& grid, const ModelSettings& settings,
             bool allocate)
    : layers_(std::move(layers)),
      input_(input),
      grid_(grid),
      settings_(settings),
      network_(make_network({}, allocate)),
      execution_(network_, settings.execution, grid) {
    network_.set_tile_widths(tile_widths(settings.slice_samples));
}

Network Model::make_network(const Partition& partition, bool allocate) const {
    return {layers_,
            input_,
            {grid_.shard(), grid_.model_shards(), partition, settings_.allow_row_parallel},
            [this](const LayerPlace& place, Network::Exchange what, bool last) {
                return make_exchange_layer(place, what, last, grid_.shards());
            },
            allocate,
            settings_.outputs_prunable};
}

std::optional<StatePartition> Model::state_partition() const {
    if (!settings_.partition_state || grid_.replicas().size() == 1) return {};
    return partition_state(grid_.replicas());
}

void Model::create_slots(std::vector<std::string> names) { arena().create_slots(std::move(names), state_partition()); }

void Model::repartition(const Partition& partition, Weights weights) {
    Network next = make_network(partition, false);
    if (weights == Weights::move) {
        repartition_network(network_, next, grid_, state_partition());
    } else {
        for (std::size_t i = 0; i < network_.parameters().size(); ++i)
            next.parameters()[i]->full_shape = network_.parameters()[i]->full_shape;
        next.arena().create_slots(network_.arena().slot_names(), state_partition());
    }
    replace(std::move(next), partition);
}

std::vector<std::string> Model::compact() {
    const AliveChannels alive = fold_dead_channels(network_, grid_.shards());
    const std::optional<Partition> partition = partition_of_alive(network_, alive);
    std::vector<std::string> changes;
    if (!partition) return changes;
    for (const auto& [layer, outputs] : alive)
        if (const index_t now = partition->at(layer).back(); now < std::ssize(outputs))
            changes.push_back(text(layer, " ", outputs.size(), " to ", now));
    Network next = make_network(*partition, false);
    compact_network(network_, next, alive, grid_, state_partition());
    replace(std::move(next), *partition);
    return changes;
}

void Model::replace(Network next, const Partition& partition) {
    const std::string execution = execution_.describe();
    next.arena().supersede(network_.arena());
    network_ = std::move(next);
    partition_ = partition;
    execution_.restore(execution);
    follow_execution();
}

}  // namespace pruntrain
