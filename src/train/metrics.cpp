#include "pruntrain/train/metrics.hpp"

#include <cmath>

namespace pruntrain {

namespace {

enum Sum : index_t { squares, absolute, target_sum, target_square, sums_of_output };

double ratio(index_t part, index_t whole) {
    return whole == 0 ? NAN : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

Metrics::Metrics(index_t classes, index_t outputs)
    : classes_(classes),
      outputs_(outputs),
      counts_(static_cast<std::size_t>(classes * classes + 2)),
      sums_(static_cast<std::size_t>(classes == 0 ? outputs * sums_of_output : 0)) {}

void Metrics::add(const Tiling& tiling, const real* values, const float* targets) {
    for (index_t sample = 0; sample < tiling.samples; ++sample) {
        const real* const first = values + sample / tiling.width * outputs_ * tiling.width + sample % tiling.width;
        const auto output = [&](index_t o) { return static_cast<double>(first[o * tiling.width]); };
        ++counts_[counts_.size() - 2];
        if (classes_ == 0) {
            for (index_t o = 0; o < outputs_; ++o) {
                const auto target = static_cast<double>(targets[sample * outputs_ + o]);
                double* const sums = &sums_[o * sums_of_output];
                sums[squares] += (output(o) - target) * (output(o) - target);
                sums[absolute] += std::abs(output(o) - target);
                sums[target_sum] += target;
                sums[target_square] += target * target;
            }
            continue;
        }
        const auto actual = static_cast<index_t>(targets[sample]);
        index_t best = outputs_ == 1 && output(0) > 0 ? 1 : 0, before = 0;  // outputs that come before the class's own
        for (index_t o = 0; o < outputs_; ++o) {
            if (outputs_ > 1 && output(o) > output(best)) best = o;
            if (outputs_ > 1 && (output(o) > output(actual) || (output(o) == output(actual) && o < actual))) ++before;
        }
        ++counts_[actual * classes_ + best];
        if (before < 5) ++counts_.back();
    }
}

void Metrics::reduce(const Communicator& ranks) {
    ranks.all_reduce_sum(std::span(counts_));
    ranks.all_reduce_sum(std::span(sums_));
}

index_t Metrics::count(index_t actual, index_t predicted) const {
    return static_cast<index_t>(counts_[actual * classes_ + predicted]);
}

index_t Metrics::of_class(index_t actual) const {
    index_t sum = 0;
    for (index_t other = 0; other < classes_; ++other) sum += count(actual, other);
    return sum;
}

index_t Metrics::predicted(index_t predicted) const {
    index_t sum = 0;
    for (index_t other = 0; other < classes_; ++other) sum += count(other, predicted);
    return sum;
}

double Metrics::precision(index_t index) const { return ratio(count(index, index), predicted(index)); }
double Metrics::recall(index_t index) const { return ratio(count(index, index), of_class(index)); }
double Metrics::f1(index_t index) const { return ratio(2 * count(index, index), of_class(index) + predicted(index)); }

double Metrics::top_5() const {
    return ratio(static_cast<index_t>(counts_.back()), static_cast<index_t>(counts_[counts_.size() - 2]));
}

double Metrics::r2() const {
    const auto samples = static_cast<double>(counts_[counts_.size() - 2]);
    double sum = 0;
    for (index_t o = 0; o < outputs_; ++o) {
        const double* const sums = &sums_[o * sums_of_output];
        const double spread = sums[target_square] - sums[target_sum] * sums[target_sum] / samples;
        sum += spread > 0 ? 1 - sums[squares] / spread : NAN;
    }
    return sum / static_cast<double>(outputs_);
}

double Metrics::mean_absolute_error() const {
    double sum = 0;
    for (index_t o = 0; o < outputs_; ++o) sum += sums_[o * sums_of_output + absolute];
    return sum / static_cast<double>(counts_[counts_.size() - 2]) / static_cast<double>(outputs_);
}

}  // namespace pruntrain
