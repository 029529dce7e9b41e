// The learning rate as a function of the step.
#pragma once

#include <memory>

#include "pruntrain/base/registry.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/config/config.hpp"

namespace pruntrain {

/// The length of a run.
struct RunLength {
    index_t steps_per_epoch = 1;
    index_t steps = 0;  ///< of the whole run

    double epoch(double step) const { return step / static_cast<double>(steps_per_epoch); }
};

/// The shape of a schedule after its warm-up.
class RateShape {
   public:
    virtual ~RateShape() = default;
    /// The factor on the learning rate. @param progress  0..1 from the end of the warm-up to the end of the run
    virtual double factor(double epoch, double progress) const = 0;
};

using RateShapeFactory = std::unique_ptr<RateShape> (*)(const Config&);
const Registry<RateShapeFactory>& rate_shapes();

/// A pure function of the step, so that a restart needs no saved state.
class LearningRate {
   public:
    /// @param schedule  the `optimizer.schedule` section: type, warmup_epochs, and the keys of the type
    LearningRate(const Config& schedule, double base, const RunLength& length);

    /// The rate of the update that follows `step` updates. It rises linearly during warm-up, up to the full rate.
    double at(index_t step) const;

   private:
    double base_;
    RunLength length_;
    double warmup_steps_;
    std::unique_ptr<RateShape> shape_;
};

}  // namespace pruntrain
