// The ranks as a grid: data replicas x model shards.
#pragma once

#include <string>

#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// The ranks r*S .. r*S + S-1 share replica r of the model: neighbours, so that they usually share a node too. Ranks
/// with the same number in their replica hold the same shard, and sum their gradients.
class Grid {
   public:
    /// Collective. @throws InputError that lists the shards that fit if S does not divide the number of ranks
    Grid(const Communicator& world, index_t model_shards);
    /// For a look at the model without a run: one rank stands for the first of each shard's replicas.
    /// @param ranks  that such a run would have; 0: as many replicas as there are ranks here
    /// @throws InputError as above
    static Grid to_look_at(const Communicator& world, index_t model_shards, index_t ranks = 0);

    const Communicator& world() const { return world_; }
    const Communicator& replicas() const { return replicas_; }  ///< ranks that hold this rank's shard
    const Communicator& shards() const { return shards_; }      ///< ranks that hold this rank's replica
    index_t shard() const { return shards_.rank(); }
    index_t model_shards() const { return model_shards_; }
    index_t replica_count() const { return replica_count_; }  ///< in a look, of the run that is looked at
    std::string text() const;                                 ///< "4x2": replicas x shards

    /// The replicas of a grid in words. @throws std::runtime_error if it is none
    static int replicas_of(const std::string& grid);

   private:
    Grid(const Communicator& world, index_t model_shards, const Communicator& replicas, const Communicator& shards);

    index_t model_shards_;
    index_t replica_count_;
    Communicator world_, replicas_, shards_;
};

}  // namespace pruntrain
