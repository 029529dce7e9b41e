// The keys of a configuration that no member of a family reads.
#pragma once

#include <string>

#include "pruntrain/comm/shared_sum.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/parallel/execution_planner.hpp"
#include "pruntrain/run/progress.hpp"
#include "pruntrain/train/divergence_policy.hpp"

namespace pruntrain {

// Large because it is plain data: one member for each key.
struct Settings {
    explicit Settings(const Config& config);

    std::string name;    ///< of the run
    std::string output;  ///< folder of all runs
    std::uint64_t seed;
    std::string start_from;  ///< file whose weights a new run starts with; empty: none
    ProgressMode progress;
    double log_every_s;
    double time_limit_s;  ///< of one start of the program; 0: none
    double stall_s;       ///< 0: ranks are not monitored
    bool aborts_on_stall;
    ExecutionChoice execution;
    NonFinite non_finite;
    double epochs;
    index_t global_batch;
    index_t slices;  ///< of a batch, whose sums are added in a fixed order; 0: one for each rank, in the fastest order
    double evaluate_every_epochs;
    double learning_rate;
    double weight_decay;
    double clip_norm;                ///< 0: none
    index_t model_shards;            ///< ranks that share one copy of the model
    bool allow_row_parallel;         ///< of layers with fewer outputs: see Network
    double rebalance_above;          ///< imbalance of the shards above which rows move
    bool shard_optimizer;            ///< over the replicas (ZeRO stage 1)
    double checkpoint_every_epochs;  ///< 0: only at the end
    index_t keep_checkpoints;
    bool stops_on_write_failure;
    bool saves_beside;           ///< checkpoints are written while training continues
    SharedSum::Message message;  ///< of gradients between nodes
};

}  // namespace pruntrain
