// Process grid: data-parallel replicas x model shards.
#pragma once

#include <string>

#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// Ranks r*S .. r*S + S-1 hold replica r of the model: they are consecutive, so that they usually share a node. Ranks
/// with the same index in their replica hold the same shard, and sum their gradients.
class Grid {
   public:
    /// Collective. @throws InputError that lists the valid shard counts if S does not divide the number of ranks
    Grid(const Communicator& world, index_t model_shards);
    /// A grid to inspect a model without a run: each rank represents the first replica of its shards.
    /// @param ranks  number of ranks of the run; 0: as many replicas as ranks
    /// @throws InputError as above
    static Grid to_look_at(const Communicator& world, index_t model_shards, index_t ranks = 0);

    const Communicator& world() const { return world_; }
    const Communicator& replicas() const { return replicas_; }  ///< ranks that hold this rank's shard
    const Communicator& shards() const { return shards_; }      ///< ranks that hold this rank's replica
    index_t shard() const { return shards_.rank(); }
    index_t model_shards() const { return model_shards_; }
    index_t replica_count() const { return replica_count_; }  ///< of `to_look_at`: of the run that is inspected
    std::string text() const;                                 ///< "4x2": replicas x shards

    /// The number of replicas in the text of a grid. @throws std::runtime_error if the text is no grid
    static int replicas_of(const std::string& grid);

   private:
    Grid(const Communicator& world, index_t model_shards, const Communicator& replicas, const Communicator& shards);

    index_t model_shards_;
    index_t replica_count_;
    Communicator world_, replicas_, shards_;
};

}  // namespace pruntrain
