// density(p) = d_i (d_f / d_i)^p: each event removes the same fraction of the remaining weights (Tanaka et al. 2020,
// "SynFlow", algorithm 1; de Jorge et al. 2021, "FORCE").
#include <cmath>

#include "pruntrain/prune/schedule.hpp"

namespace pruntrain {

std::unique_ptr<PruneSchedule> make_exponential(const Config& config, double final_sparsity, const RunLength& length) {
    const auto shape = [](double progress, double initial, double final) {
        return 1 - (1 - initial) * std::pow((1 - final) / (1 - initial), progress);
    };
    return std::make_unique<GradualSchedule>(config, "exponential", shape, final_sparsity, length);
}

}  // namespace pruntrain
