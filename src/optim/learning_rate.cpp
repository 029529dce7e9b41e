#include "pruntrain/optim/learning_rate.hpp"

#include <algorithm>

#include "pruntrain/config/choose.hpp"

namespace pruntrain {

LearningRate::LearningRate(const Config& schedule, double base, const RunLength& length)
    : base_(base), length_(length) {
    warmup_steps_ = schedule.number("warmup_epochs", 0.0, at_least(0), "epochs of linear warm-up") *
                    static_cast<double>(length.steps_per_epoch);
    shape_ = choose(rate_shapes(), schedule, "type", "constant", "learning-rate schedule after the warm-up");
}

double LearningRate::at(index_t step) const {
    const auto now = static_cast<double>(step);
    if (now + 1 < warmup_steps_) return base_ * (now + 1) / warmup_steps_;
    const double rest = static_cast<double>(length_.steps) - warmup_steps_;
    const double progress = rest > 0 ? std::clamp((now - warmup_steps_) / rest, 0.0, 1.0) : 1;
    return base_ * shape_->factor(length_.epoch(now), progress);
}

}  // namespace pruntrain
