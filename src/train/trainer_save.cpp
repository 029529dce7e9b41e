// Trainer: checkpoints.
#include <utility>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/train/trainer.hpp"

namespace pruntrain {

void Trainer::save_checkpoint(bool needed) {
    if (writing_step_ < 0 && saved_step_ == state_.step) return;
    profile_.enter(Phase::checkpoint);
    finish_writing();
    if (saved_step_ == state_.step) return;
    const ModelHash hash = consistent_model_hash(network_, state_.step, grid_);
    state_.pattern_hash = hex(hash.pattern);
    state_.weights_hash = hex(hash.weights);
    state_.execution = planner_.describe();
    state_.seconds = seconds_before_ + clock_.seconds();
    experiment_.dataset.pause_reading();
    const std::filesystem::path path = folder_.checkpoints() / checkpoint_name(state_.step);
    const auto write = [&](auto how) {
        return how(path, network_, state_, history_, experiment_.resolved, experiment_.dataset.normalization(), grid_);
    };
    if (experiment_.settings.saves_beside && !needed) {
        writing_ = write(write_checkpoint_later);
        writing_step_ = state_.step;
        best_at_writing_ = state_.best_step;
    } else {
        const WrittenCheckpoint written = write(write_checkpoint);
        if (!needed && tolerates(written.failure)) return;
        settle(written, state_.step, state_.best_step);
    }
    reducer_.reset_residual();  // a checkpoint does not hold it: a run that is resumed here must go on alike
}

void Trainer::settle(const WrittenCheckpoint& written, index_t step, index_t best) {
    world_.rethrow_collectively([&] {
        if (!world_.is_root()) return;
        if (!written.failure.empty()) fault(written.failure);
        folder_.drop_old_checkpoints(step, experiment_.settings.keep_checkpoints, best);
    });
    saved_step_ = step;
    stop_request_.leave_time_for(written.seconds);
}

void Trainer::finish_writing() {
    if (writing_step_ < 0) return;
    const WrittenCheckpoint written = writing_.valid() ? writing_.get() : WrittenCheckpoint{};
    const index_t step = std::exchange(writing_step_, -1);
    if (!tolerates(written.failure)) settle(written, step, best_at_writing_);
}

}  // namespace pruntrain
