// Sensitivity analysis: loss and accuracy with one layer pruned at a time, in one shot and without retraining
// (Han et al. 2015; Li et al. 2017, "Pruning filters for efficient ConvNets").
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pruntrain/train/evaluation.hpp"
#include "pruntrain/train/experiment.hpp"

namespace pruntrain {

/// One layer pruned to one sparsity.
struct SensitivityPoint {
    std::string layer;
    double sparsity = 0;  ///< as asked for
    index_t size = 0;     ///< weights of the layer before any pruning
    index_t kept = 0;     ///< fewer than the sparsity keeps if the layer had no more, or if groups are whole; more if
                          ///< one group, which always stays, is more
    double loss = NAN;
    double accuracy = NAN;  ///< fraction; NaN for a regression
    double drop = NAN;      ///< of the accuracy from that of the network as it is, in points (0.01); below 0: a rise

    double density() const { return static_cast<double>(kept) / static_cast<double>(size); }
};

struct Sensitivity {
    Evaluation whole;                      ///< of the network as it is
    std::vector<SensitivityPoint> points;  ///< layer by layer, each by rising sparsity
};

/// Prunes every prunable layer to every sparsity by the configuration's criterion and granularity, evaluates, and
/// restores the layer. The (layer, sparsity) pairs are distributed over the ranks. Each rank evaluates whole splits, so
/// that results are the same on any number of ranks. In the end the network is unchanged, except for gradients and
/// optimizer state. Collective; the result is the same on every rank.
/// @param sparsities  0 <= x < 1
/// @param step        of the run: criteria that use a batch take the next one
/// @throws InputError if there is no pruner, or if its criterion or granularity cannot prune a layer alone
Sensitivity analyze_sensitivity(Experiment& experiment, std::vector<double> sparsities, Split split, index_t step,
                                const Communicator& world);

/// For each layer the largest sparsity that costs at most `drop` points of accuracy, 0 if none does, and the sparsity
/// of the whole that follows: lines for the `prune` section.
/// Nothing for a regression, which has no accuracy.
std::optional<std::string> allocation_yaml(const Sensitivity& sensitivity, double drop);

/// What `sensitivity` prints.
std::string sensitivity_text(const Sensitivity& sensitivity);
/// layer,sparsity,density,loss,accuracy,drop; what is not known is empty.
std::string sensitivity_csv(const Sensitivity& sensitivity);

}  // namespace pruntrain
