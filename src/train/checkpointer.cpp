#include "pruntrain/train/checkpointer.hpp"

#include <utility>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/parallel/partition.hpp"

namespace pruntrain {

bool Checkpointer::save(RunState& state, const History& history, bool needed) {
    const index_t updates = state.updates();
    finish_writing();
    if (saved_step_ == updates) return false;
    Model& model = experiment_.model;
    const ModelHash hash = consistent_model_hash(model.network(), updates, model.grid());
    state.pattern_hash = hex(hash.pattern);
    state.weights_hash = hex(hash.weights);
    state.execution = model.execution().describe();
    state.partition = partition_text(model.partition());
    state.class_names = experiment_.dataset.class_names();
    state.input_names = experiment_.dataset.input_names();
    experiment_.dataset.pause_reading();
    if (world_.is_root()) folder_.require_lock();
    const auto write = [&](auto how) {
        return how(folder_.checkpoints() / checkpoint_name(updates), model.network(), state, history,
                   experiment_.resolved, experiment_.dataset.normalization(), model.grid(),
                   [this] { folder_.require_lock(); });
    };
    if (experiment_.settings.saves_beside && !needed) {
        writing_ = write(write_checkpoint_later);
        writing_step_ = updates;
        best_at_writing_ = state.best_step;
        return true;
    }
    const WrittenCheckpoint written = write(write_checkpoint);
    if (!needed && tolerates(written.failure)) return false;
    settle(written, updates, state.best_step);
    return true;
}

void Checkpointer::settle(const WrittenCheckpoint& written, index_t step, index_t best) {
    world_.rethrow_collectively([&] {
        if (!world_.is_root()) return;
        if (!written.failure.empty()) fault(written.failure);
        folder_.drop_old_checkpoints(step, experiment_.settings.keep_checkpoints, best);
    });
    saved_step_ = step;
    stop_request_.leave_time_for(written.seconds);
}

void Checkpointer::finish_writing() {
    if (writing_step_ < 0) return;
    const WrittenCheckpoint written = writing_.valid() ? writing_.get() : WrittenCheckpoint{};
    const index_t step = std::exchange(writing_step_, -1);
    if (!tolerates(written.failure)) settle(written, step, best_at_writing_);
}

bool Checkpointer::tolerates(const std::string& failure) {
    const bool failed = world_.all_reduce_max(index_t{failure.empty() ? 0 : 1}) == 1;
    if (!failed || experiment_.settings.stops_on_write_failure) return false;
    progress_.note(text("warning: ", failure, "; training continues, older checkpoints are kept"));
    return true;
}

void HistoryLog::append(const HistoryRow& row, Network& network) {
    rows_.push_back(row);
    if (!is_root_) return;
    try {
        if (file_is_incomplete_) folder_.write_history(rows_, network);
        else folder_.append_history(row, network);
        file_is_incomplete_ = false;
    } catch (const std::exception& error) {
        if (stops_on_failure_) throw;
        file_is_incomplete_ = true;
        progress_.note(text("warning: ", error.what(), "; training continues, the row is written with the next one"));
    }
}

}  // namespace pruntrain
