// A model on the ranks: its network, its partition over the shards, and the execution of its layers.
#pragma once

#include <string>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/parallel/compaction.hpp"
#include "pruntrain/parallel/execution_planner.hpp"

namespace pruntrain {

/// The parallel layout of a model.
struct ModelSettings {
    bool allow_row_parallel = true;  ///< for layers with fewer outputs than inputs: see Network
    bool partition_state = false;    ///< optimizer state is partitioned over the replicas (ZeRO stage 1)
    ExecutionChoice execution = ExecutionChoice::measured;
    index_t slice_samples = 1;     ///< maximum size of a slice of the batch, for which tiles are sized
    bool outputs_prunable = true;  ///< default of the key `prunable` of the last layer with weights
};

/// Owns network, arena, partition and execution plan. It replaces the network after a repartition or a compaction.
/// Every change of the weights other than an optimizer update increments `version()`. A cache of data derived from the
/// model must compare versions.
class Model {
   public:
    /// Collective. @param layers    the list of layers, each {layer: TYPE, ...}
    /// @param allocate  false: without weights, to inspect the model
    /// @throws InputError if a layer does not fit the one before it
    Model(std::vector<Config> layers, const Shape& input, const Grid& grid, const ModelSettings& settings,
          bool allocate = true);
    Model(const Model&) = delete;
    Model& operator=(const Model&) = delete;

    Network& network() { return network_; }
    const Network& network() const { return network_; }
    Arena& arena() { return network_.arena(); }
    const Grid& grid() const { return grid_; }
    const std::vector<Config>& layers() const { return layers_; }  ///< as configured
    std::uint64_t version() const { return network_.arena().version(); }

    /// The partition of the layers over the shards and their remaining outputs; empty: as configured, evenly.
    const Partition& partition() const { return partition_; }
    ExecutionPlanner& execution() { return execution_; }
    const ExecutionPlanner& execution() const { return execution_; }

    /// Creates zeroed optimizer state, partitioned over the replicas if the settings say so.
    void create_slots(std::vector<std::string> names);

    enum class Weights { move, drop };
    /// Repartitions the layers. The execution plan stays. Collective.
    /// @param weights  move: weights and optimizer state move to their new shards; drop: none, for a file to be read
    void repartition(const Partition& partition, Weights weights);
    /// Removes units and channels without weights; their constant contributions are folded into biases. Collective.
    /// @return the layers that became smaller, "dense1 300 to 212"; empty if there are none
    std::vector<std::string> compact();
    /// Adapts the tile widths to the execution plan, after it has changed.
    void follow_execution() { follow_execution(settings_.slice_samples); }
    /// The same for slices of so many samples.
    void follow_execution(index_t slice_samples) { network_.set_tile_widths(execution_.tile_widths(slice_samples)); }

   private:
    Network make_network(const Partition& partition, bool allocate) const;
    std::optional<StatePartition> state_partition() const;
    void replace(Network next, const Partition& partition);

    std::vector<Config> layers_;
    Shape input_;
    Grid grid_;
    ModelSettings settings_;
    Partition partition_;
    Network network_;
    ExecutionPlanner execution_;
};

}  // namespace pruntrain
