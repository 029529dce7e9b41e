// All objects that a configuration describes.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "pruntrain/comm/grid.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/data/dataset.hpp"
#include "pruntrain/data/sampler.hpp"
#include "pruntrain/model/loss.hpp"
#include "pruntrain/optim/learning_rate.hpp"
#include "pruntrain/optim/optimizer.hpp"
#include "pruntrain/optim/regularizer.hpp"
#include "pruntrain/parallel/model.hpp"
#include "pruntrain/parallel/slices.hpp"
#include "pruntrain/prune/pruner.hpp"
#include "pruntrain/train/settings.hpp"

namespace pruntrain {

/// Construction is collective: all ranks throw the same error.
class Experiment {
   public:
    /// Reads every key; throws InputError if one is unknown, wrong or does not fit the data.
    /// @param look  inspects the model without weights, not for a run. Number of ranks of the run; 0: as many replicas
    /// as there are ranks here
    /// @param needs  less than all of the data is not enough for a run
    Experiment(const Config& config, const Communicator& world, std::optional<index_t> look = {},
               const DataNeeds& needs = {});

    /// All keys of all members.
    static Config description();
    /// For --describe.
    static std::string describe();

    Settings settings;
    Grid grid;
    Dataset dataset;
    Model model;
    std::unique_ptr<Loss> loss;
    Sampler sampler;
    RunLength length;  ///< of all trainings
    std::unique_ptr<Optimizer> optimizer;
    std::unique_ptr<Regularizer> regularizer;  ///< optional
    LearningRate learning_rate;
    std::optional<Pruner> pruner;
    Rewinding rewinding;   ///< of the pruning schedule
    Config configuration;  ///< whose keys have all been read
    std::string resolved;  ///< the configuration as read, with all defaults

    /// Number of classes; 0 for a regression.
    index_t classes() const;
    /// The state arrays of the optimizer, then those of the pruning criterion and of rewinding.
    std::vector<std::string> slot_names() const;
    /// How a batch is partitioned over the replicas. Collective.
    Slices slices() const;
    /// Maximum samples of a slice for this number of replicas.
    index_t slice_samples(index_t replicas) const;
    /// Maximum slices of a rank.
    index_t slices_of_rank() const;

   private:
    /// @throws InputError if the targets do not fit the loss and the network
    void check_targets();
    /// @throws InputError if the criterion does not fit the model, the data or the reduction settings
    void check_criterion(const Config& config);
};

}  // namespace pruntrain
