#include "pruntrain/train/trainer.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/parallel/partition.hpp"
#include "pruntrain/parallel/state_partition.hpp"
#include "pruntrain/run/summary.hpp"

namespace pruntrain {

namespace {

/// The most memory that this process has had resident, in MB.
double peak_resident_mb() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) * 1024 / 1e6;
}

/// What it has resident now, in MB.
double resident_mb() {
    double pages = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

void divide(std::span<real> values, real divisor) {
    if (divisor == 1) return;
    for (real& value : values) value /= divisor;
}

std::vector<std::string> names_of_layers(Network& network) {
    std::vector<std::string> names;
    for (std::size_t layer = 0; layer < network.layer_count(); ++layer) names.push_back(network.layer(layer).name());
    return names;
}

}  // namespace

Trainer::Trainer(Experiment& experiment, const RunFolder& folder, const Communicator& world, bool profiling,
                 const StopRequest& stop_request)
    : experiment_(experiment),
      network_(experiment.network),
      folder_(folder),
      world_(world),
      grid_(experiment.grid),
      slices_(experiment.slices()),
      reducer_(slices_.ordered() ? GradientReducer(grid_.replicas(), slices_)
                                 : GradientReducer(grid_.replicas(), experiment.settings.message)),
      progress_(experiment.settings.progress, experiment.settings.log_every_s, experiment.length, world.is_root()),
      profile_(profiling, names_of_layers(experiment.network)),
      planner_(experiment.network, experiment.settings.execution, grid_),
      stop_request_(stop_request),
      heartbeat_(experiment.settings.stall_s, experiment.settings.aborts_on_stall, profile_, world) {
    state_.seed = experiment.settings.seed;
    state_.ranks = world.size();
    state_.grid = grid_.text();
    step_.training = true;
    step_.seed = experiment.settings.seed;
    step_.sum_over_slices = [this](std::span<const double> rows, std::span<double> totals) {
        slices_.finish(slices_.start_sum(rows), totals);
        profile_.add({.summed_bytes = grid_.replicas().size() > 1 ? static_cast<double>(rows.size_bytes()) : 0});
    };
    network_.reserve(slice_samples(), slices_.own().size);
}

bool Trainer::resume() {
    std::string newest, cuts;
    world_.rethrow_collectively([&] {
        if (!world_.is_root()) return;
        for (const auto& file : list_checkpoints(folder_.checkpoints())) {
            try {
                const auto summary = inspect_checkpoint(file);
                newest = file.string();
                cuts = summary.state.partition;
                const std::string changes = changed_lines(summary.config, experiment_.resolved);
                if (!changes.empty()) progress_.note("the configuration has changed since the checkpoint:\n" + changes);
                return;
            } catch (const InputError& error) {
                progress_.note(text("warning: ", error.what(), "; trying an older one"));
            }
        }
    });
    world_.broadcast_text(newest);
    if (newest.empty()) {
        progress_.note("no checkpoint to resume from: starting at step 0");
        return false;
    }
    // Cut for as many shards, the model goes on as it was; for others, layers begin with even blocks.
    world_.broadcast_text(cuts);
    const Partition read = parse_partition(cuts);
    const bool same = !read.empty() && static_cast<index_t>(read.begin()->second.size()) == grid_.model_shards() + 1;
    if (!read.empty() || !state_.partition.empty())
        cut(same ? read : even_partition(read, grid_.model_shards()), false);
    const RunState own = state_;
    state_ = read_checkpoint(newest, network_, history_, world_);
    state_.ranks = own.ranks;
    state_.grid = own.grid;
    state_.partition = own.partition;
    state_.seed = own.seed;
    planner_.restore(state_.execution);
    network_.set_tile_widths(planner_.tile_widths(slice_samples()));
    const ModelHash hash = consistent_model_hash(network_, state_.step, grid_);
    if (hex(hash.pattern) != state_.pattern_hash || hex(hash.weights) != state_.weights_hash)
        fault("the model read from ", newest, " has the hashes ", hex(hash.pattern), " and ", hex(hash.weights),
              ", the one written had ", state_.pattern_hash, " and ", state_.weights_hash);
    seconds_before_ = state_.seconds;
    saved_step_ = state_.step;
    progress_.note(text("resuming from ", newest, " at step ", state_.step));
    return true;
}

bool Trainer::run() {
    if (world_.is_root()) {
        if (state_.step < experiment_.length.steps) folder_.remove_results();
        folder_.write_config(experiment_.resolved);
        folder_.write_history(history_, network_);
    }
    if (state_.step == 0) {
        maybe_prune();
        maybe_rewind();
    }
    while (state_.step < experiment_.length.steps) {
        step_timer_.restart();
        heartbeat_.begin_step(state_.step + 1);
        next_batch();
        ask_whether_to_stop();
        const bool to_owners = experiment_.settings.clip_norm == 0;
        forward_and_backward(!input_is_used_after(state_.step + 1), to_owners);
        const NextUpdate next = check_gradients(to_owners);
        if (next == NextUpdate::again) continue;
        if (next == NextUpdate::apply) {
            update();
            observe();
        }
        if (experiment_.rewinding.rewinds_at(state_.step)) add_history_row();  // before it goes back
        maybe_prune();
        maybe_rewind();
        maybe_regrow();
        maybe_evaluate();
        maybe_checkpoint();
        maybe_show_progress();
        if (sums_[2] > 0 && state_.step < experiment_.length.steps) {
            stop();
            return false;
        }
    }
    finish();
    return true;
}

void Trainer::assemble_batch(index_t step) {
    profile_.enter(Phase::input);
    const Dataset& dataset = experiment_.dataset;
    network_.reserve(slice_samples(), slices_.own().size);
    batch_.clear();
    index_t samples = 0;
    const index_t training_step = experiment_.rewinding.training_step(step);
    for (index_t slice = 0; slice < slices_.own().size; ++slice) {
        batch_.push_back(experiment_.sampler.part(training_step, slices_.own().first + slice, slices_.count()));
        samples += batch_.back().samples;
    }
    targets_.resize(static_cast<std::size_t>(samples * dataset.target_width()));
    float* targets = targets_.data();
    for (index_t slice = 0; slice < slices_.own().size; ++slice) {
        const BatchPart& part = batch_[static_cast<std::size_t>(slice)];
        experiment_.sampler.draw(training_step, part, numbers_);
        dataset.assemble(Split::train, numbers_, network_.input_tiling(part.samples), network_.input(slice), targets);
        targets += part.samples * dataset.target_width();
    }
    batch_step_ = step;
    read_ahead(step + 1);
}

void Trainer::read_ahead(index_t step) {
    const Dataset& dataset = experiment_.dataset;
    if (!dataset.reads_ahead() || step >= experiment_.length.steps) return;
    const index_t training_step = experiment_.rewinding.training_step(step);
    std::vector<index_t> all;
    for (index_t slice = 0; slice < slices_.own().size; ++slice) {
        const index_t number = slices_.own().first + slice;
        experiment_.sampler.draw(training_step, experiment_.sampler.part(training_step, number, slices_.count()),
                                 numbers_);
        all.insert(all.end(), numbers_.begin(), numbers_.end());
    }
    dataset.prefetch(Split::train, all);
}

void Trainer::next_batch() {
    if (batch_step_ != state_.step) assemble_batch(state_.step);
    step_.step = experiment_.rewinding.training_step(state_.step);
    step_.global_samples = batch_.front().global_samples;
    step_.slices.clear();
    step_.tiling.samples = 0;
    for (const BatchPart& part : batch_) {
        step_.slices.push_back({part.first, part.samples});
        step_.tiling.samples += part.samples;
    }
}

void Trainer::ask_whether_to_stop() {
    stop_wanted_ = stop_request_.wanted(state_.step + 1, world_.is_root()) ? 1 : 0;
    // The loss is summed over the replicas of a shard: what shards have summed before is then summed over all ranks.
    if (grid_.model_shards() == 1) return;
    profile_.enter(Phase::reduce);
    grid_.shards().all_reduce_sum(std::span(&stop_wanted_, 1));
}

Slices::Sum Trainer::start_loss() {
    profile_.enter(Phase::loss);
    std::vector<double> rows;  // of each slice
    const float* targets = targets_.data();
    for (index_t slice = 0; slice < slices_.own().size; ++slice) {
        const index_t samples = step_.slices[static_cast<std::size_t>(slice)].samples;
        const Tiling tiling = network_.output_tiling(samples);
        const auto numbers = static_cast<std::size_t>(tiling.size(network_.outputs()));
        divide(std::span(network_.output(slice), numbers), temperature_);
        const LossSums sums = experiment_.loss->evaluate(tiling, network_.outputs(), network_.output(slice), targets,
                                                         experiment_.dataset.target_width(), step_.global_samples,
                                                         network_.output_gradient(slice));
        divide(std::span(network_.output_gradient(slice), numbers), temperature_);
        targets += samples * experiment_.dataset.target_width();
        rows.insert(rows.end(), {sums.loss, static_cast<double>(sums.correct), stop_wanted_});
    }
    return slices_.start_sum(rows);
}

void Trainer::forward_and_backward(bool assemble_next, bool to_owners) {
    const SoftPrunedWeights::MaskScope hiding = hide();
    const auto flops = [&](std::size_t layer) { return 2 * network_.layer(layer).multiply_adds(step_.tiling.samples); };
    for (std::size_t layer = 0; layer < network_.layer_count(); ++layer) {
        profile_.enter(Phase::forward, layer);
        profile_.add({.flops = flops(layer)});
        network_.forward(step_, layer);
    }
    Slices::Sum loss = start_loss();

    profile_.enter(Phase::reduce);
    const index_t summed_before = reducer_.bytes_summed();
    reducer_.begin(network_.arena(), to_owners);
    step_.terms = reducer_.terms(network_.arena());
    for (std::size_t layer = network_.layer_count(); layer-- > 0;) {
        profile_.enter(Phase::backward, layer);
        profile_.add({.flops = flops(layer) * (network_.needs_input_gradient(layer) ? 2 : 1)});
        network_.backward(step_, layer);
        profile_.enter(Phase::reduce);
        reducer_.ready(network_.finished(layer));
    }
    // The input is not needed any more; other ranks may still be computing, or their sums under way.
    if (assemble_next) assemble_batch(state_.step + 1);
    profile_.enter(Phase::reduce);
    reducer_.finish();
    slices_.finish(std::move(loss), sums_);
    profile_.add({.summed_bytes = static_cast<double>(reducer_.bytes_summed() - summed_before)});
}

void Trainer::update() {
    profile_.enter(Phase::update);
    Arena& arena = network_.arena();
    profile_.add({.moved_bytes = static_cast<double>(arrays_moved(experiment_.optimizer->slot_names().size()) *
                                                     arena.slot_range().size) *
                                 sizeof(real)});
    const Settings& settings = experiment_.settings;
    if (experiment_.pruner && state_.step < experiment_.pruner->end_step())
        experiment_.pruner->criterion().observe(arena);
    if (experiment_.pruner) soft_pruned_.decay(arena, static_cast<real>(experiment_.pruner->hidden_decay()));
    soft_pruned_.save_frozen(arena);
    update_parameters(*experiment_.optimizer, arena, experiment_.rewinding.update_number(state_.step),
                      learning_rate_at(state_.step), settings.weight_decay, settings.clip_norm, grid_.shards());
    if (arena.state_is_partitioned()) {
        profile_.enter(Phase::reduce);
        all_gather_values(arena, grid_.replicas());
        profile_.add({.summed_bytes = static_cast<double>(arena.size()) * sizeof(real)});
        profile_.enter(Phase::update);
    }
    if (experiment_.regularizer)
        experiment_.regularizer->apply(
            arena, learning_rate_at(state_.step),
            experiment_.length.epoch(static_cast<double>(experiment_.rewinding.training_step(state_.step))),
            grid_.shards());
    soft_pruned_.restore_frozen(arena, experiment_.optimizer->slot_names());
    count_step();
}

void Trainer::count_step() {
    ++state_.step;
    state_.epoch = experiment_.length.epoch(static_cast<double>(state_.step));
}

void Trainer::observe() {
    profile_.enter(Phase::observe);
    state_.loss_sum += sums_[0];
    state_.loss_samples += step_.global_samples;
    correct_ += sums_[1];
    const double seconds = step_timer_.seconds();
    state_.train_seconds += seconds;
    trained_seconds_ += seconds;
    trained_samples_ += step_.global_samples;
}

void Trainer::maybe_prune() {
    if (!experiment_.pruner || !experiment_.pruner->event_at(state_.step)) return;
    std::optional<ModelHash> hash;  // of the last round that removed weights
    for (index_t round = 1; round <= experiment_.pruner->rounds(); ++round) {
        find_gradients(experiment_.pruner->score_input(state_.step));
        profile_.enter(Phase::prune);
        const auto pruned =
            experiment_.pruner->prune(state_.step, network_, grid_, round, fisher_ ? &*fisher_ : nullptr);
        if (pruned) hash = pruned;
        fisher_.reset();
        soft_pruned_.invalidate();
    }
    if (hash && shrink()) hash = consistent_model_hash(network_, state_.step, grid_);
    PrunableCount count = count_prunable(network_, count_kept(network_, grid_.shards()));
    if (experiment_.pruner->soft_prunes())
        for (const index_t hidden : count_soft_pruned(network_.arena(), grid_)) count.kept -= hidden;
    state_.sparsity = count.sparsity();
    if (hash && state_.step >= experiment_.pruner->end_step())
        progress_.note(text("step ", state_.step, ": final sparsity ", exact(count.sparsity()), ", ",
                            grouped(count.kept), " of ", grouped(count.size), " prunable weights kept, pattern ",
                            hex(hash->pattern), " on all ranks"));
    if (hash) reducer_.reset_residual();
    if (!hash && state_.step < experiment_.pruner->end_step()) return;
    plan_execution();
    rebalance(state_.step >= experiment_.pruner->end_step());
}

void Trainer::plan_execution() {
    profile_.enter(Phase::plan);
    StepContext slice = step_;
    slice.tiling.samples = slice_samples();  // the last batch may have been a short one
    const double steps_here =
        static_cast<double>(trained_samples_) / static_cast<double>(experiment_.settings.global_batch);
    const double run_s = trained_seconds_ * static_cast<double>(experiment_.length.steps) / std::max(1.0, steps_here);
    const bool last = !experiment_.pruner || state_.step >= experiment_.pruner->end_step();
    const std::string changes = planner_.plan(slice, run_s, last);
    if (!changes.empty()) progress_.note(text("step ", state_.step, ": ", changes));
    network_.set_tile_widths(planner_.tile_widths(slice.tiling.samples));
}

double Trainer::learning_rate_at(index_t step) const {
    return state_.rate_factor * experiment_.learning_rate.at(experiment_.rewinding.training_step(step));
}

index_t Trainer::slice_samples() const { return experiment_.slice_samples(grid_.replicas().size()); }

bool Trainer::due(index_t step, double every_epochs) const {
    if (step == experiment_.length.steps) return true;
    if (every_epochs == 0) return false;
    // The steps at which a whole number of intervals is completed, whatever fraction of an epoch an interval is.
    const double every = every_epochs * static_cast<double>(experiment_.length.steps_per_epoch);
    const auto now = static_cast<double>(step);
    return std::floor(now / every + 1e-9) > std::floor((now - 1) / every + 1e-9);
}

bool Trainer::input_is_used_after(index_t step) const {
    const Regrowth* const regrowth = experiment_.pruner ? experiment_.pruner->regrowth() : nullptr;
    return (experiment_.pruner && experiment_.pruner->event_at(step)) || (regrowth && regrowth->event_at(step)) ||
           due(step, experiment_.settings.evaluate_every_epochs);
}

void Trainer::maybe_evaluate() {
    if (!history_.empty() && history_.back().step == static_cast<double>(state_.step)) return;
    if (due(state_.step, experiment_.settings.evaluate_every_epochs)) add_history_row();
}

void Trainer::add_history_row() {
    profile_.enter(Phase::evaluate);
    const SoftPrunedWeights::MaskScope hiding = hide();
    const Evaluation validation =
        evaluate(network_, *experiment_.loss, experiment_.dataset, Split::validation, slices_);
    HistoryRow row;
    row.step = static_cast<double>(state_.step);
    row.epoch = state_.epoch;
    row.seconds = seconds_before_ + clock_.seconds();
    row.train_loss = state_.loss_sum / static_cast<double>(state_.loss_samples);
    row.validation_loss = validation.loss;
    row.validation_accuracy = validation.accuracy;
    row.sparsity = state_.sparsity;
    row.learning_rate = learning_rate_at(state_.step - 1);
    row.samples_per_s = static_cast<double>(state_.loss_samples) / state_.train_seconds;
    row.sparse_layers = static_cast<double>(planner_.sparse_layers());
    row.values_reduced = static_cast<double>(network_.arena().gradients().size());
    row.layers = planner_.layers();
    history_.push_back(row);
    append_history(row);
    progress_.row(row);
    state_.validation_accuracy = validation.accuracy;
    state_.loss_sum = state_.train_seconds = correct_ = 0;
    state_.loss_samples = 0;

    // The best: among the models that have the final sparsity, so that it is one the user can use.
    const double score = std::isnan(validation.accuracy) ? -validation.loss : validation.accuracy;
    const bool final_pattern =
        !experiment_.pruner || (state_.step >= experiment_.pruner->end_step() &&
                                !experiment_.rewinding.rewinds_at(state_.step) && !soft_pruned_.any());
    if (validation.samples > 0 && final_pattern && score > state_.best_score) {
        state_.best_score = score;
        state_.best_step = state_.step;
    }
}

void Trainer::maybe_checkpoint() {
    const bool improved = state_.best_step == state_.step && experiment_.settings.checkpoint_every_epochs > 0;
    if (improved || due(state_.step, experiment_.settings.checkpoint_every_epochs)) save_checkpoint();
}

void Trainer::stop() {
    save_checkpoint(true);
    progress_.note(
        text("stopped at step ", state_.step, " of ", experiment_.length.steps, " by ", stop_request_.reason(world_),
             ": ", (folder_.checkpoints() / checkpoint_name(state_.step)).string(), " is saved, resume with --resume"));
}

void Trainer::maybe_show_progress() {
    profile_.enter(Phase::observe);
    if (!progress_.due()) return;
    const double rate = static_cast<double>(trained_samples_) / trained_seconds_;
    const double left =
        static_cast<double>((experiment_.length.steps - state_.step) * experiment_.settings.global_batch);
    const auto samples = static_cast<double>(state_.loss_samples);
    if (samples == 0) return;  // a row has just been printed
    const bool classes = experiment_.loss->classifies(network_.outputs(), experiment_.dataset.target_width());
    progress_.show({state_.step, state_.loss_sum / samples, classes ? correct_ / samples : -1, state_.sparsity, rate,
                    left / rate});
}

void Trainer::finish() {
    save_checkpoint(true);
    profile_.enter(Phase::evaluate);
    const Evaluation test = evaluate(network_, *experiment_.loss, experiment_.dataset, Split::test, slices_);
    profile_.stop();  // first: the phases are parts of the run's seconds
    state_.seconds = seconds_before_ + clock_.seconds();
    const std::vector<index_t> kept = count_kept(network_, grid_.shards());
    const double final_mb = world_.all_reduce_max(resident_mb()), peak_mb = world_.all_reduce_max(peak_resident_mb());
    const ProfileRows profile = profile_.rows(world_);
    if (!world_.is_root()) return;
    RunResult result;
    result.test = test;
    result.state = state_;
    result.samples_per_s = trained_seconds_ > 0 ? static_cast<double>(trained_samples_) / trained_seconds_ : 0;
    result.peak_mb = peak_mb;
    result.resident_mb = final_mb;
    result.profile = profile;
    result.kept = kept;
    result.checkpoint = (folder_.checkpoints() / checkpoint_name(state_.step)).string();
    if (state_.best_step >= 0)
        result.best_checkpoint = (folder_.checkpoints() / checkpoint_name(state_.best_step)).string();
    if (profile_.on()) folder_.write_profile(profile_csv(profile));
    folder_.write_summary(summary_json(result, network_));
    progress_.note(result_text(result, network_, folder_.path().string()));
    if (profile_.on()) progress_.note(profile_text(profile, world_.size()));
}

}  // namespace pruntrain
