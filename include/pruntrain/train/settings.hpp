// The keys of a configuration that no member of a family reads.
#pragma once

#include <string>

#include "pruntrain/comm/shared_sum.hpp"
#include "pruntrain/config/config.hpp"

namespace pruntrain {

// Large because it is plain data: one member for each key.
struct Settings {
    explicit Settings(const Config& config);

    std::string name;    ///< of the run
    std::string output;  ///< folder of all runs
    std::uint64_t seed;
    std::string start_from;  ///< file whose weights a new run starts with; empty: none
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

}  // namespace pruntrain
