// Where layers are cut for the shards of a model, and how their weights move from one cut to another.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/model/network.hpp"

namespace pruntrain {

/// The outputs of a layer, shared out over the shards, where weights that depend on the cut execute sparse: their work
/// and their memory are those of the kept ones.
struct SparseLayer {
    std::string name;
    /// Kept weights of each output, over all shards: those of its row, if the layer is cut by its outputs, and those by
    /// which it enters the next layer, if that one is cut by its inputs: a shard computes both without waiting.
    std::vector<index_t> weights;
    std::vector<index_t> offsets;  ///< the first output of each shard, and the number of all
};
/// Collective. The same on all ranks of a replica.
std::vector<SparseLayer> sparse_layers(Network& network, const Communicator& shards);

/// How long a step takes compared to one whose shards have equally many weights: all shards wait for the fullest one,
/// in every layer. 1 where there are no weights.
double imbalance(std::span<const SparseLayer> layers);

/// The cut into contiguous blocks of outputs, one at least each, whose fullest one has as few weights as possible.
/// @return the first output of each block, and the number of all. There must be as many as shards.
std::vector<index_t> balanced_cut(std::span<const index_t> weights, index_t shards);

/// In words, for a checkpoint: "dense1 0 700 1024, dense2 0 512 1024".
std::string text_of(const Partition& cuts);
/// @throws InputError if it is no such text
Partition parse_partition(const std::string& text);

/// The same numbers of outputs on another number of shards, in even blocks.
Partition even_partition(const Partition& cuts, index_t shards);

/// Moves the patterns, values and statistics of all layers, and the slots of the optimizer, to a network of the same
/// model that is cut elsewhere and has no weights yet. Collective over the grid.
/// @param sharing  of the slots, as `Arena::create_slots` takes it
void repartition_network(Network& from, Network& to, const Grid& grid, std::optional<StatePartition> sharing);

}  // namespace pruntrain
