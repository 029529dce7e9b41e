#include "pruntrain/prune/schedule.hpp"

#include <algorithm>
#include <cmath>

namespace pruntrain {

bool read_clamp(const Config& config, const std::string& consequence) {
    return config.flag("clamp", false, "times after the end of the run mean its end, " + consequence);
}

Time read_time(const Config& config, const std::string& key, double default_epoch, const std::string& meaning,
               const RunLength& length, TooLate too_late) {
    const std::string step_key = key + "_step", epoch_key = key + "_epoch";
    const auto last = static_cast<double>(length.steps);
    index_t time = 0;
    if (!config.is_describing() && config.has(step_key) && config.has(epoch_key))
        input_error(config.place_of(step_key), " and ", config.path_of(epoch_key), " are both given: give one");
    if (config.has(step_key)) time = config.integer(step_key, std::nullopt, at_least(0), meaning + ", in updates");
    if (config.is_describing() || !config.has(step_key)) {
        const double epoch = config.number(epoch_key, default_epoch, at_least(0), meaning + ", in epochs");
        time = std::llround(std::min(2 * last + 1, epoch * static_cast<double>(length.steps_per_epoch)));
    }
    const bool given = !config.is_describing() && (config.has(step_key) || config.has(epoch_key));
    const bool is_late = given && time > length.steps;
    if (is_late && length.steps > 0 && too_late != TooLate::allowed) {
        const std::string& given_key = config.has(step_key) ? step_key : epoch_key;
        const std::string what = text(config.place_of(given_key), " is after the end of the run, which is epoch ",
                                      exact(length.epoch(last)), " (step ", length.steps, ")");
        if (too_late == TooLate::refused)
            input_error(what, ": give an earlier time, more train.epochs, or ", config.path_of("clamp"),
                        ": true, which moves it to the end");
        config.note(text("warning: ", what, ": the end of the run is meant"));
    }
    return {std::min(time, length.steps), is_late};
}

index_t read_interval(const Config& config, index_t default_steps, const std::string& meaning,
                      const RunLength& length) {
    if (!config.is_describing() && config.has("every_steps") && config.has("every_epochs"))
        input_error(config.place_of("every_steps"), " and ", config.path_of("every_epochs"),
                    " are both given: give one");
    index_t every = 0;
    if (config.is_describing() || !config.has("every_epochs"))
        every = config.integer("every_steps", default_steps, at_least(1), meaning + ", in updates");
    if (config.has("every_epochs"))
        every = std::llround(config.number("every_epochs", std::nullopt, above(0), meaning + ", in epochs") *
                             static_cast<double>(length.steps_per_epoch));
    return std::max<index_t>(1, every);
}

GradualSchedule::GradualSchedule(const Config& config, std::string name, Shape shape, double final_sparsity,
                                 const RunLength& length)
    : name_(std::move(name)), shape_(shape), final_sparsity_(final_sparsity) {
    initial_sparsity_ = config.number("initial_sparsity", 0.0, from_up_to_below(0, 1), "sparsity at the first event");
    if (initial_sparsity_ > final_sparsity)
        input_error(config.place_of("initial_sparsity"), " is ", initial_sparsity_,
                    ": allowed is at most the final sparsity, ", final_sparsity);
    const bool clamp = read_clamp(config);
    start_ = read_time(config, "start", 0, "first event", length, clamp ? TooLate::allowed : TooLate::refused).step;
    const Time end = read_time(config, "end", length.epoch(static_cast<double>(length.steps)) / 2, "last event", length,
                               clamp ? TooLate::allowed : TooLate::noted);
    end_ = end.step;
    if (end_ < start_ && !config.is_describing())
        input_error("the prune schedule (", config.path_of("end_epoch"), ") ends at step ", end_,
                    ", before its start at step ", start_, ": give an end after the start");
    every_ = read_interval(config, 50, "from one event to the next", length);
    if (!config.is_describing() && length.steps > 0 && !clamp) check_window(config, end.was_late);
}

void GradualSchedule::check_window(const Config& config, bool is_cut) const {
    const index_t before_end = (end_ - start_ + every_ - 1) / every_;
    const index_t events = before_end + 1 - (initial_sparsity_ == 0 && before_end > 0 ? 1 : 0);
    if (events > 1 || final_sparsity_ == 0) return;
    const std::string what =
        text("the prune schedule (", config.place_of("start_epoch"), ") has a single event, at step ", end_,
             ", which removes all of ", exact(final_sparsity_), " at once");
    if (is_cut)
        input_error(
            what,
            ": its window ends with the run: give an earlier start or end, smaller intervals, more train.epochs, "
            "or ",
            config.path_of("clamp"), ": true");
    if (start_ != end_) config.note(text("warning: ", what, ": every_steps is not below the length of its window"));
}

bool GradualSchedule::event_at(index_t step) const {
    if (step == end_) return true;
    return step >= start_ && step < end_ && (step - start_) % every_ == 0;
}

double GradualSchedule::sparsity_at(index_t step) const {
    if (step >= end_) return final_sparsity_;
    if (step < start_) return 0;
    const double progress = static_cast<double>(step - start_) / static_cast<double>(end_ - start_);
    return shape_(progress, initial_sparsity_, final_sparsity_);
}

std::string GradualSchedule::describe() const {
    return text(name_, " from step ", start_, " to ", end_, ", every ", every_, " steps");
}

}  // namespace pruntrain
