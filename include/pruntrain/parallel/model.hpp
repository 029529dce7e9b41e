// A model on the ranks: its network, how that is partitioned over the shards, and how its layers execute.
#pragma once

#include <string>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/parallel/compaction.hpp"
#include "pruntrain/parallel/execution_planner.hpp"

namespace pruntrain {

/// What a model is laid out for.
struct ModelSettings {
    bool allow_row_parallel = true;  ///< layers with fewer outputs than inputs: see Network
    bool partition_state = false;    ///< optimizer slots are divided over the replicas (ZeRO stage 1)
    ExecutionChoice execution = ExecutionChoice::measured;
    index_t slice_samples = 1;  ///< of a slice of the batch, at most: tiles are for so many
};

/// Owns network, arena, partition and execution plan, and replaces the network by one that is partitioned elsewhere or
/// has lost units. Whatever changes the weights otherwise than by an update of the optimizer increases `version()`;
/// whoever caches something that it derived from the model compares versions.
class Model {
   public:
    /// Collective. @param layers    the list of layers, each {layer: TYPE, ...}
    /// @param allocate  no: there are no weights, for a look at the model
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

    /// How layers are divided over the shards, and how many outputs they have left; empty: as configured, evenly.
    const Partition& partition() const { return partition_; }
    ExecutionPlanner& execution() { return execution_; }
    const ExecutionPlanner& execution() const { return execution_; }

    /// Optimizer slots, zero, divided over the replicas if the settings say so.
    void create_slots(std::vector<std::string> names);

    enum class Weights { move, drop };
    /// Divides the layers otherwise. The execution plan stays. Collective.
    /// @param weights  move: weights and slots go to their new shards; drop: there are none, for a file to be read
    void repartition(const Partition& partition, Weights weights);
    /// Removes units and channels without weights; constants that they contribute are folded into biases. Collective.
    /// @return the layers that became smaller, "dense1 300 to 212"; empty if none did
    std::vector<std::string> compact();
    /// After a change of the execution plan: tile widths follow it.
    void follow_execution() { follow_execution(settings_.slice_samples); }
    /// Likewise, for slices of so many samples.
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
