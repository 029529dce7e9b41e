// Alternating dense and sparse phases (Peste et al. 2021, "AC/DC", algorithm 1): after a dense warm-up each compression
// goes to the final sparsity at once, by the scores of all weights, and each decompression makes all weights active
// again; the last sparse phase lasts to the end of the run. Reactivated weights are 0, with an optimizer state of 0.
#include "pruntrain/prune/schedule.hpp"

namespace pruntrain {

namespace {

class AcDc final : public PruneSchedule {
   public:
    AcDc(const Config& config, double sparsity, const RunLength& length) : sparsity_(sparsity) {
        const bool clamp = read_clamp(config);
        const double epochs = length.epoch(static_cast<double>(length.steps));
        start_ = read_time(config, "start", 0.1 * epochs, "first compression, ends the dense warm-up", length,
                           clamp ? TooLate::allowed : TooLate::refused)
                     .step;
        end_ = read_time(config, "end", 0.85 * epochs, "start of the last sparse phase", length,
                         clamp ? TooLate::allowed : TooLate::noted)
                   .step;
        if (end_ < start_ && !config.is_describing())
            input_error("the prune schedule (", config.path_of("end_epoch"), ") ends at step ", end_,
                        ", before its start at step ", start_, ": give an end after the start");
        every_ = read_interval(config, 5 * length.steps_per_epoch, "length of a phase, sparse or dense", length);
    }

    bool event_at(index_t step) const override {
        return step == end_ || (step >= start_ && step < end_ && (step - start_) % every_ == 0);
    }
    double sparsity_at(index_t step) const override {
        if (step >= end_) return sparsity_;
        return step < start_ || (step - start_) / every_ % 2 == 1 ? 0 : sparsity_;
    }
    Traits traits() const override { return {.has = {Trait::reactivates_all}, .refuses = {Trait::removes_units}}; }
    index_t end_step() const override { return end_; }
    std::string describe() const override {
        return text("alternating sparse and dense phases from step ", start_, " to ", end_, ", every ", every_,
                    " steps");
    }

   private:
    double sparsity_;
    index_t start_, end_, every_;
};

}  // namespace

std::unique_ptr<PruneSchedule> make_ac_dc(const Config& config, double final_sparsity, const RunLength& length) {
    return std::make_unique<AcDc>(config, final_sparsity, length);
}

}  // namespace pruntrain
