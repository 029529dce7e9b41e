// Fast while many weights are redundant, slow at the end.
#include "pruntrain/prune/schedule.hpp"

namespace pruntrain {

double cubic_rise(double progress, double initial, double final) {
    return initial + (final - initial) * (1 - (1 - progress) * (1 - progress) * (1 - progress));
}

std::unique_ptr<PruneSchedule> make_cubic(const Config& config, double final_sparsity, const RunLength& length) {
    return std::make_unique<GradualSchedule>(config, "cubic", cubic_rise, final_sparsity, length);
}

}  // namespace pruntrain
