// All that a configuration describes, built.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/comm/shared_sum.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/data/dataset.hpp"
#include "pruntrain/data/sampler.hpp"
#include "pruntrain/model/loss.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/optim/learning_rate.hpp"
#include "pruntrain/optim/optimizer.hpp"
#include "pruntrain/optim/regularizer.hpp"
#include "pruntrain/parallel/compaction.hpp"
#include "pruntrain/parallel/slices.hpp"
#include "pruntrain/prune/pruner.hpp"

namespace pruntrain {

/// The keys that no member of a family reads.
struct Settings {
    explicit Settings(const Config& config);

    std::string name;    ///< of the run
    std::string output;  ///< folder of all runs
    std::uint64_t seed;
    std::string start_from;  ///< file whose weights a new run offsets with; empty: none
    std::string progress;    ///< auto | redraw | lines
    double log_every_s;
    double time_limit_s;  ///< of one start of the program; 0: none
    double stall_s;       ///< 0: ranks are not watched
    bool aborts_on_stall;
    std::string execution;   ///< one of `execution_choices`
    std::string non_finite;  ///< stop | skip | roll_back
    double epochs;
    index_t global_batch;
    index_t slices;  ///< whose sums are added in one order; 0: one for each rank, in the fastest order
    double evaluate_every_epochs;
    double learning_rate;
    double weight_decay;
    double clip_norm;                ///< 0: none
    index_t model_shards;            ///< ranks that share one copy of the model
    bool allow_row_parallel;         ///< of layers with fewer outputs: see Network
    double rebalance_above;          ///< of the shards' imbalance: then rows move
    bool shard_optimizer;            ///< replicas share out the slots
    double checkpoint_every_epochs;  ///< 0: only at the end
    index_t keep_checkpoints;
    bool stops_on_write_failure;
    bool saves_beside;           ///< checkpoints are written while training goes on
    SharedSum::Message message;  ///< of gradients between nodes
};

/// Collective to build: all ranks throw alike.
class Experiment {
   public:
    /// Reads every key; throws InputError if one is unknown, wrong or does not fit the data.
    /// @param look  for a look at the model, not for a run: there are no weights. The ranks that such a run would have;
    ///     0: as many replicas as there are ranks here
    Experiment(const Config& config, const Communicator& world, std::optional<index_t> look = {});

    /// All keys of all members, for --describe.
    static std::string describe();

    Settings settings;
    Grid grid;
    Dataset dataset;
    std::vector<Config> model;
    Network network;
    std::unique_ptr<Loss> loss;
    Sampler sampler;
    RunLength length;  ///< of all trainings
    std::unique_ptr<Optimizer> optimizer;
    std::unique_ptr<Regularizer> regularizer;  ///< may be none
    LearningRate learning_rate;
    std::optional<Pruner> pruner;
    Rewinding rewinding;   ///< of the pruning schedule
    std::string resolved;  ///< the configuration as read, with all defaults

    /// Cuts the layers elsewhere between the shards: a new network takes the place of this one, with its execution
    /// still to be chosen. Collective.
    /// @param move  rows of weights, with their slots, go to their new shards; else there are no numbers: for a
    ///     checkpoint to be read
    void cut(const Partition& cuts, bool move);
    /// Likewise removes the dead outputs of layers: see parallel/shrink.hpp.
    void shrink(const Partition& cuts, const AliveChannels& alive);

    /// Of the optimizer, then of the pruning criterion and of rewinding.
    std::vector<std::string> slot_names() const;
    /// How a batch is shared out over the replicas. Collective.
    Slices slices() const;
    /// The most samples of a slice when there are so many replicas.
    index_t slice_samples(index_t replicas) const;
    /// The most slices of a rank.
    index_t slices_of_rank() const;

   private:
    Network make_network(const Partition& cuts, bool allocate) const;
    std::optional<StatePartition> state_partition() const;
    /// @throws InputError if the criterion does not fit the model, the data or the sums
    void check_criterion(const Config& config);
};

}  // namespace pruntrain
