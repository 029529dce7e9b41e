// Results of an evaluation beyond loss and accuracy.
#pragma once

#include <vector>

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/math/tile.hpp"

namespace pruntrain {

/// For classes the confusion matrix, in integers: the same for any number of ranks. For a regression the sums of R2 and
/// of the mean absolute error.
class Metrics {
   public:
    /// @param classes  0: a regression; 2 with one output: it is the logit of class 1
    Metrics(index_t classes, index_t outputs);

    /// @param values   (tile, output, sample)
    /// @param targets  (sample, target)
    void add(const Tiling& tiling, const real* values, const float* targets);
    /// Adds those of all ranks. Collective.
    void reduce(const Communicator& ranks);

    index_t classes() const { return classes_; }
    index_t count(index_t actual, index_t predicted) const;
    index_t of_class(index_t actual) const;      ///< samples of a class
    index_t predicted(index_t predicted) const;  ///< samples that are taken for a class
    double precision(index_t index) const;       ///< NaN if no sample is taken for the class
    double recall(index_t index) const;          ///< NaN if the class has no sample
    double f1(index_t index) const;              ///< 2 correct / (of_class + predicted)
    double top_5() const;                        ///< fraction of samples whose class is one of the 5 largest outputs

    /// 1 - squared error / variance of the targets, the mean over the outputs; NaN if the targets are equal.
    double r2() const;
    double mean_absolute_error() const;

   private:
    index_t classes_, outputs_;
    std::vector<std::uint64_t> counts_;  // (actual, predicted), then samples, then those in the top 5
    std::vector<double> sums_;           // (output, sum)
};

}  // namespace pruntrain
