// How layers are partitioned over the shards of a model, and how weights move between two partitions.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/model/network.hpp"

namespace pruntrain {

/// The outputs of a layer, partitioned over the shards, where the affected weights execute sparse: work and memory are
/// proportional to the non-zeros.
struct SparseLayer {
    std::string name;
    /// Non-zeros of each output, over all shards. A column-parallel layer contributes the output's row. A row-parallel
    /// next layer contributes the columns that read the output: a shard computes both without communication.
    std::vector<index_t> weights;
    std::vector<index_t> offsets;  ///< the first output of each shard, and the total
};
/// Collective. The same result on all ranks of a replica.
std::vector<SparseLayer> sparse_layers(Network& network, const Communicator& shards);

/// Time of a step relative to perfectly balanced shards: in every layer, all shards wait for the fullest one. 1 if
/// there are no weights.
double imbalance(std::span<const SparseLayer> layers);

/// The partition into contiguous non-empty blocks of outputs that minimizes the weights of the fullest block.
/// @return the first output of each block, and the total. There must be as many outputs as shards.
std::vector<index_t> balanced_cut(std::span<const index_t> weights, index_t shards);

/// The text of a partition in a checkpoint: "dense1 0 700 1024, dense2 0 512 1024".
std::string partition_text(const Partition& cuts);
/// @throws InputError if the text is not valid
Partition parse_partition(const std::string& text);

/// The same total outputs on another number of shards, in even blocks.
Partition even_partition(const Partition& cuts, index_t shards);

/// Moves the patterns, values and statistics of all layers, and the optimizer state, to a network of the same model
/// with another partition and no weights yet. Collective over the grid.
/// @param sharing  partition of the optimizer state, see `Arena::create_slots`
void repartition_network(Network& from, Network& to, const Grid& grid, std::optional<StatePartition> sharing);

}  // namespace pruntrain
