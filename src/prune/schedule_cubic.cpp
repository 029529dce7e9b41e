// s(p) = s_f + (s_i - s_f) (1 - p)^3 (Zhu & Gupta 2017, equation 1): fast while much is superfluous, slow at the end.
#include "pruntrain/prune/schedule.hpp"

namespace pruntrain {

std::unique_ptr<PruneSchedule> make_cubic(const Config& config, double final_sparsity, const RunLength& length) {
    const auto shape = [](double progress, double initial, double final) {
        return initial + (final - initial) * (1 - (1 - progress) * (1 - progress) * (1 - progress));
    };
    return std::make_unique<GradualSchedule>(config, "cubic", shape, final_sparsity, length);
}

}  // namespace pruntrain
