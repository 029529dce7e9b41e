// Prune schedules: which sparsity at which step.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "pruntrain/base/registry.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/optim/learning_rate.hpp"
#include "pruntrain/prune/rewinding.hpp"
#include "pruntrain/prune/traits.hpp"

namespace pruntrain {

/// A pure function of the step. An event at step s happens after s updates (0: before training).
class PruneSchedule {
   public:
    virtual ~PruneSchedule() = default;
    virtual bool event_at(index_t step) const = 0;
    virtual double sparsity_at(index_t step) const = 0;
    /// Rounds of an event. Each computes scores again and removes the same fraction of the remaining weights.
    virtual index_t rounds() const { return 1; }
    /// Weights with a score above it remain, so the sparsity may be lower.
    virtual std::optional<double> threshold() const { return std::nullopt; }
    /// After each event the run returns to an earlier step of its training, which makes it longer.
    virtual Rewinding rewinding() const { return {}; }
    /// The step from which the final sparsity is reached.
    virtual index_t end_step() const = 0;
    /// With `reactivates_all`, an event of sparsity 0 makes all weights active again.
    virtual Traits traits() const = 0;
    virtual std::string describe() const = 0;  ///< "cubic, steps 215 to 1720 every 50"
};

/// @param length  of a training, which is the whole run, except with rewinding
using PruneScheduleFactory = std::unique_ptr<PruneSchedule> (*)(const Config&, double final_sparsity, const RunLength&);
const Registry<PruneScheduleFactory>& prune_schedules();

/// What a given time after the end of the run means.
enum class TooLate {
    refused,  ///< an InputError: nothing would happen before the end
    noted,    ///< the end of the run, with a note
    allowed,  ///< the end of the run
};

/// A time of a schedule, in updates.
struct Time {
    index_t step;
    bool was_late = false;  ///< it was given after the end of the run
};

/// A time given as KEY_step or KEY_epoch; one of the two. No later than the end of the run. A run without training
/// (epochs: 0) allows all times.
Time read_time(const Config& config, const std::string& key, double default_epoch, const std::string& meaning,
               const RunLength& length, TooLate too_late);

/// The `clamp` key of a prune schedule or of regrowth: times after the end of the run mean its end.
bool read_clamp(const Config& config,
                const std::string& consequence = "even if all weights are then removed by one event");

/// An interval given as every_steps or every_epochs, in updates; at most one of the two.
index_t read_interval(const Config& config, index_t default_steps, const std::string& meaning, const RunLength& length);

/// An increase from the initial to the final sparsity over a window of steps, with an event at a fixed interval. There
/// is always one at the end of the window, so the final sparsity is reached exactly.
class GradualSchedule : public PruneSchedule {
   public:
    /// The sparsity at a progress through the window, 0 to 1, on the way from the initial to the final sparsity.
    using Shape = double (*)(double progress, double initial, double final);
    GradualSchedule(const Config& config, std::string name, Shape shape, double final_sparsity,
                    const RunLength& length);

    bool event_at(index_t step) const override;
    double sparsity_at(index_t step) const override;
    index_t end_step() const override { return end_; }
    Traits traits() const override { return {}; }
    std::string describe() const override;

   private:
    /// Warns of a window with a single event. @throws InputError if that is so because the run is too short
    void check_window(const Config& config, bool is_cut) const;

    std::string name_;
    Shape shape_;
    double initial_sparsity_, final_sparsity_;
    index_t start_, end_, every_;
};

/// s_f + (s_i - s_f) (1 - p)^3 (Zhu & Gupta 2017, equation 1).
double cubic_rise(double progress, double initial, double final);

}  // namespace pruntrain
