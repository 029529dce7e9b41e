// The training loop.
#pragma once

#include <array>
#include <future>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/parallel/execution_planner.hpp"
#include "pruntrain/parallel/gradient_reducer.hpp"
#include "pruntrain/prune/soft_pruned_weights.hpp"
#include "pruntrain/run/checkpoint.hpp"
#include "pruntrain/run/heartbeat.hpp"
#include "pruntrain/run/profile.hpp"
#include "pruntrain/run/progress.hpp"
#include "pruntrain/run/run_folder.hpp"
#include "pruntrain/run/stop_request.hpp"
#include "pruntrain/train/evaluation.hpp"
#include "pruntrain/train/experiment.hpp"
#include "pruntrain/train/start.hpp"

namespace pruntrain {

class Trainer {
   public:
    /// @param profiling  measures where the time goes, for a table at the end and profile.csv
    Trainer(Experiment& experiment, const RunFolder& folder, const Communicator& world, bool profiling,
            const StopRequest& stop_request);

    /// Loads the newest checkpoint of the folder that is whole; a damaged one is named and passed over. Collective.
    /// @return there was one @throws InputError if a whole checkpoint is of another network
    bool resume();

    /// A new run offsets, with the weights of the file if there is one. Collective.
    /// @param file  what `look_at_start` has found
    void start(const std::optional<StartFile>& file);

    /// Trains to the end, evaluates on the test split, writes the last checkpoint and summary.json. Collective.
    /// @return false: it was interrupted, and what it has done so far is in a checkpoint
    bool run();

   private:
    // The step, in the order of the loop.
    void assemble_batch(index_t step);
    /// Begins to bring the samples of a step's batch, if they are not in this node's memory.
    void read_ahead(index_t step);
    void next_batch();
    void ask_whether_to_stop();
    /// Starts the sums of gradients as layers finish.
    /// @param assemble_next  the next step's batch, while they go on
    /// @param to_owners      where slots are shared out, no rank needs more sums than it has slots
    void forward_and_backward(bool assemble_next, bool to_owners);
    /// The numbers that a criterion looks at, in the arena's gradients; nothing else changes.
    void find_gradients(ScoreInput what);
    void find_flow_gradients();
    void find_squares(const MicroBatches& micro_batches);
    /// Sums of squares over the micro-batches of all slices of a node. @param sums  set: of the arena's size
    void add_squares(const Sampler& sampler, index_t count, const TreeNode& node, std::span<real> sums);
    void find_curvatures();
    void find_hessian_vector_product();
    void find_channel_scales();
    void find_activations(bool share);
    /// Of the outputs; sets their gradients. The wish to stop goes with it.
    Slices::Sum start_loss();
    enum class NextUpdate { apply, skip, again };
    /// Whether loss and gradients are finite, and if not what train.non_finite says: again is from a checkpoint on.
    /// Collective.
    NextUpdate check_gradients(bool to_owners);
    /// The layer whose gradient is not, or the loss; empty if all are.
    std::string what_is_not_finite(bool to_owners);
    void update();
    void count_step();
    void observe();
    void maybe_prune();
    void maybe_rewind();
    void maybe_regrow();
    /// The network goes without its hidden weights while what this returns lives. Collective over the replicas.
    SoftPrunedWeights::MaskScope hide();
    void plan_execution();
    /// Moves rows between the shards if one has too many weights. @param tell  how full they are if they stay
    void rebalance(bool tell);
    /// Puts a network in place whose shards are cut elsewhere.
    void cut(const Partition& cuts, bool move);
    /// Removes units and channels without weights, if the configuration says so. @return there were some
    bool shrink();
    /// What is known of the network before goes on with the one in its place.
    void take_network(const Partition& cuts, const std::string& execution);
    void maybe_evaluate();
    void maybe_checkpoint();
    void maybe_show_progress();

    double learning_rate_at(index_t step) const;
    index_t slice_samples() const;  ///< the most of a slice
    bool due(index_t step, double every_epochs) const;
    /// An evaluation or a new plan of execution, which may change the tiles, follows this many steps.
    bool input_is_used_after(index_t step) const;
    void add_history_row();
    /// @param needed  there is no later one: a failure is the end
    void save_checkpoint(bool needed = false);
    /// Waits for the checkpoint that is being written beside training, if there is one. Collective.
    void finish_writing();
    /// A checkpoint is there, or its failure ends the run. Collective. @param best  step of the best at its time
    void settle(const WrittenCheckpoint& written, index_t step, index_t best);
    /// Of a file that the root could not write, or empty: says so and lets training go on, if it may. Collective.
    bool tolerates(const std::string& failure);
    void append_history(const HistoryRow& row);
    void stop();
    void finish();

    Experiment& experiment_;
    Network& network_;
    const RunFolder& folder_;
    Communicator world_;
    Grid grid_;
    Slices slices_;
    GradientReducer reducer_;
    Progress progress_;
    Profile profile_;
    ExecutionPlanner planner_;
    StopRequest stop_request_;
    Heartbeat heartbeat_;

    RunState state_;
    History history_;

    // Of the batch that stands in the network's input: of the step under way, or ahead of the next one.
    std::vector<BatchPart> batch_;  ///< this rank's slices
    index_t batch_step_ = -1;       ///< -1: none
    std::vector<index_t> numbers_;
    std::vector<float> targets_;

    // Of the step under way.
    NetworkStep step_;
    real temperature_ = 1;  ///< the outputs are divided by it ahead of the loss
    SoftPrunedWeights soft_pruned_;
    std::optional<BlockFisher> fisher_;  ///< of a prune event whose criterion updates the weights that stay
    double stop_wanted_ = 0;             ///< by how many shards of this replica
    std::array<double, 3> sums_{};       ///< loss, correct samples and wishes to stop, over all slices

    // Of this start of the program.
    Timer clock_;
    double seconds_before_ = 0;  ///< spent by earlier starts
    Timer step_timer_;
    double correct_ = 0;  ///< training samples told right since the last row
    index_t trained_samples_ = 0;
    double trained_seconds_ = 0;
    index_t saved_step_ = -1;
    std::future<WrittenCheckpoint> writing_;  ///< beside training, on the root
    index_t writing_step_ = -1;               ///< -1: none is being written
    index_t best_at_writing_ = -1;
    int skips_ = 0;                   ///< in a row: steps whose gradients were not finite
    bool history_is_behind_ = false;  ///< history.csv has not all rows: the disk was full
};

}  // namespace pruntrain
