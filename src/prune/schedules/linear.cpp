#include "pruntrain/prune/schedule.hpp"

namespace pruntrain {

std::unique_ptr<PruneSchedule> make_linear(const Config& config, double final_sparsity, const RunLength& length) {
    const auto shape = [](double progress, double initial, double final) {
        return initial + (final - initial) * progress;
    };
    return std::make_unique<GradualSchedule>(config, "linear", shape, final_sparsity, length);
}

}  // namespace pruntrain
