#include "pruntrain/train/trainer.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/run/restore.hpp"
#include "pruntrain/run/summary.hpp"
#include "pruntrain/train/resume.hpp"

namespace pruntrain {

namespace {

/// Peak resident memory of this process, in MB.
double peak_resident_mb() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) * 1024 / 1e6;
}

/// Current resident memory of this process, in MB.
double resident_mb() {
    double pages = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
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
      folder_(folder),
      world_(world),
      slices_(experiment.slices()),
      progress_(experiment.settings.progress, experiment.settings.log_every_s, experiment.length, world.is_root()),
      profile_(profiling, names_of_layers(experiment.model.network())),
      stop_request_(stop_request),
      heartbeat_(experiment.settings.stall_s, experiment.settings.aborts_on_stall, profile_, world),
      feed_(experiment.dataset, experiment.sampler, slices_,
            experiment.slice_samples(experiment.grid.replicas().size())),
      step_(experiment, slices_, profile_),
      surgery_(experiment, slices_, feed_, step_, profile_, progress_),
      checkpointer_(experiment, folder, world, progress_, stop_request_),
      divergence_(experiment.settings.non_finite),
      history_(folder, world.is_root(), experiment.settings.stops_on_write_failure, progress_) {
    state_.seed = experiment.settings.seed;
    state_.ranks = world.size();
    state_.grid = experiment.grid.text();
}

bool Trainer::resume() {
    const std::optional<ResumePoint> point = find_resume_point(experiment_, folder_, progress_, world_);
    if (!point) {
        progress_.note("no checkpoint to resume from: starting at step 0");
        return false;
    }
    RestoredRun restored = restore(point->file, experiment_.model, Restore::run, world_);
    const Dataset& data = experiment_.dataset;
    check_names(point->file.path, restored.state, data.class_names(), data.input_names());
    restored.state.ranks = state_.ranks;
    restored.state.grid = state_.grid;
    restored.state.seed = state_.seed;
    state_ = restored.state;
    history_.replace(std::move(restored.history));
    seconds_before_ = state_.seconds;
    checkpointer_.resumed_at(state_.updates());
    progress_.note(text("resuming from ", point->file.path, " at step ", state_.updates()));
    convert_position(experiment_, state_, progress_);
    check_remaining_plan(*point, experiment_, state_, progress_);
    if (experiment_.pruner && experiment_.pruner->final_sparsity() > point->final_sparsity_before) {
        state_.best_score = -INFINITY;  // the best so far has fewer weights removed than the plan of now
        state_.best_step = -1;
    }
    if (point->pruning_changed) surgery_.catch_up(state_, run_seconds());
    return true;
}

void Trainer::start(const std::optional<StartFile>& file) {
    if (!file) return;
    restore(file->file, experiment_.model, Restore::weights, world_);
    const Network& network = experiment_.model.network();
    state_.sparsity = count_prunable(network, count_kept(network, experiment_.grid.shards())).sparsity();
    progress_.note(text("starting from the weights of ", file->file.path, " (", file->state, ")"));
    surgery_.plan(state_.step, run_seconds());
}

bool Trainer::run() {
    prepare_run();
    while (state_.step < experiment_.length.steps) {
        step_timer_.restart();
        heartbeat_.begin_step(state_.updates() + 1);
        const Batch& batch = next_batch();
        const index_t samples = batch.global_samples;
        const bool to_owners = experiment_.settings.clip_norm == 0;
        step_.begin(batch, {.training_step = experiment_.rewinding.training_step(state_.step),
                            .stop_requests = ask_whether_to_stop(),
                            .to_owners = to_owners});
        prepare_batch_after(state_.step);  // other ranks may still compute, or sums may be in progress
        const StepSums sums = step_.finish();
        const DivergencePolicy::Action action = check(sums, to_owners);
        if (action == DivergencePolicy::Action::roll_back) continue;
        if (action == DivergencePolicy::Action::apply) step_.update(state_.step, state_.rate_factor);
        count_step();
        if (action == DivergencePolicy::Action::apply) observe(sums, samples);
        run_events();
        if (sums.stop_requests > 0 && state_.step < experiment_.length.steps) {
            stop();
            return false;
        }
    }
    finish();
    return true;
}

void Trainer::prepare_run() {
    if (world_.is_root()) {
        if (state_.step < experiment_.length.steps) folder_.remove_results();
        folder_.write_config(experiment_.resolved);
    }
    history_.write(experiment_.model.network());
    if (state_.step > 0) return;
    surgery_.maybe_prune(state_, run_seconds());
    surgery_.maybe_rewind(state_);
}

const Batch& Trainer::next_batch() {
    const index_t step = experiment_.rewinding.training_step(state_.step);
    const index_t width = experiment_.model.network().input_tiling(0).width;
    if (!feed_.is_ready(step, width)) profile_.enter(Phase::input);
    return feed_.batch(step, width);
}

void Trainer::prepare_batch_after(index_t step) {
    if (step + 1 >= experiment_.length.steps) return;
    profile_.enter(Phase::input);
    const Rewinding& rewinding = experiment_.rewinding;
    const auto after =
        step + 2 < experiment_.length.steps ? std::optional(rewinding.training_step(step + 2)) : std::nullopt;
    feed_.prepare(rewinding.training_step(step + 1), experiment_.model.network().input_tiling(0).width, after);
}

double Trainer::ask_whether_to_stop() {
    double wanted = stop_request_.wanted(state_.updates() + 1, world_.is_root()) ? 1 : 0;
    // The loss is summed over the replicas of a shard: values summed over shards before are then summed over all ranks.
    if (experiment_.grid.model_shards() == 1) return wanted;
    profile_.enter(Phase::reduce);
    experiment_.grid.shards().all_reduce_sum(std::span(&wanted, 1));
    return wanted;
}

DivergencePolicy::Action Trainer::check(const StepSums& sums, bool to_owners) {
    const std::string found = describe_non_finite(experiment_.model.arena(), experiment_.grid, sums.loss, to_owners);
    const std::string where =
        found.empty() ? ""
                      : text(" at step ", state_.updates() + 1, " (epoch ",
                             fixed(experiment_.length.epoch(static_cast<double>(state_.step)), 2), ", learning rate ",
                             exact(step_.learning_rate_at(state_.step, state_.rate_factor)), ")");
    const auto decision = divergence_.decide(found, where, checkpointer_.newest_step(), state_.rate_factor);
    if (decision.action == DivergencePolicy::Action::skip)
        progress_.note(text("warning: ", found, where, ": the step is skipped"));
    if (decision.action != DivergencePolicy::Action::roll_back) return decision.action;
    progress_.note(text("warning: ", found, where, ": rolled back to the last checkpoint, with ",
                        exact(decision.rate_factor), " of the learning rate"));
    const double seconds_before = seconds_before_;
    checkpointer_.finish_writing();
    if (!resume())
        DivergencePolicy::stop(found + where, ", and there is no checkpoint to roll back to",
                               checkpointer_.newest_step());
    seconds_before_ = seconds_before;  // time of the discarded steps counts
    state_.rate_factor = decision.rate_factor;
    history_.write(experiment_.model.network());
    return decision.action;
}

void Trainer::count_step() {
    ++state_.step;
    state_.epoch = experiment_.length.epoch(static_cast<double>(state_.step));
}

void Trainer::observe(const StepSums& sums, index_t samples) {
    profile_.enter(Phase::observe);
    state_.loss_sum += sums.loss;
    state_.loss_samples += samples;
    correct_ += sums.correct;
    const double seconds = step_timer_.seconds();
    state_.train_seconds += seconds;
    pace_.seconds += seconds;
    pace_.samples += samples;
}

void Trainer::run_events() {
    if (experiment_.rewinding.rewinds_at(state_.step)) add_history_row();  // before it rewinds
    surgery_.maybe_prune(state_, run_seconds());
    surgery_.maybe_rewind(state_);
    surgery_.maybe_regrow(state_);
    evaluate_if_due();
    checkpoint_if_due();
    show_progress();
}

double Trainer::run_seconds() const {
    const double steps_here =
        static_cast<double>(pace_.samples) / static_cast<double>(experiment_.settings.global_batch);
    return pace_.seconds * static_cast<double>(experiment_.length.steps) / std::max(1.0, steps_here);
}

bool Trainer::due(double every_epochs) const {
    if (state_.step == experiment_.length.steps) return true;
    if (every_epochs == 0) return false;
    // Due at the steps where an integer number of intervals is complete, whatever fraction of an epoch an interval is.
    const double every = every_epochs * static_cast<double>(experiment_.length.steps_per_epoch);
    const auto now = static_cast<double>(state_.step);
    return std::floor(now / every + 1e-9) > std::floor((now - 1) / every + 1e-9);
}

void Trainer::evaluate_if_due() {
    if (!history_.has_row_of(state_.updates()) && due(experiment_.settings.evaluate_every_epochs)) add_history_row();
}

void Trainer::add_history_row() {
    profile_.enter(Phase::evaluate);
    const SoftPrunedWeights::MaskScope masked = step_.mask();
    Model& model = experiment_.model;
    const Evaluation validation =
        evaluate(model.network(), *experiment_.loss, experiment_.dataset, Split::validation, slices_);
    require_finite(validation, "validation");
    HistoryRow row;
    row.step = static_cast<double>(state_.updates());
    row.epoch = state_.epoch;
    row.seconds = seconds();
    row.train_loss = state_.loss_sum / static_cast<double>(state_.loss_samples);
    row.validation_loss = validation.loss;
    row.validation_accuracy = validation.accuracy;
    row.sparsity = state_.sparsity;
    row.learning_rate = step_.learning_rate_at(state_.step - 1, state_.rate_factor);
    row.samples_per_s = static_cast<double>(state_.loss_samples) / state_.train_seconds;
    row.sparse_layers = static_cast<double>(model.execution().sparse_layers());
    row.values_reduced = static_cast<double>(model.arena().gradients().size());
    row.layers = model.execution().layers();
    history_.append(row, model.network());
    progress_.row(row);
    state_.validation_accuracy = validation.accuracy;
    state_.loss_sum = state_.train_seconds = correct_ = 0;
    state_.loss_samples = 0;

    // Only models with the final sparsity can be the best, so that the best one is usable.
    const double score = std::isnan(validation.accuracy) ? -validation.loss : validation.accuracy;
    const bool final_pattern =
        !experiment_.pruner || (state_.step >= experiment_.pruner->end_step() &&
                                !experiment_.rewinding.rewinds_at(state_.step) && !step_.any_soft_pruned());
    if (validation.samples > 0 && final_pattern && score > state_.best_score) {
        state_.best_score = score;
        state_.best_step = state_.updates();
    }
}

void Trainer::checkpoint_if_due() {
    const bool improved = state_.best_step == state_.updates() && experiment_.settings.checkpoint_every_epochs > 0;
    if (improved || due(experiment_.settings.checkpoint_every_epochs)) save(false);
}

void Trainer::save(bool needed) {
    if (checkpointer_.is_saved(state_.updates())) return;
    profile_.enter(Phase::checkpoint);
    state_.seconds = seconds();
    if (checkpointer_.save(state_, history_.rows(), needed)) step_.reset_residual();
}

void Trainer::stop() {
    save(true);
    progress_.note(text("stopped at step ", state_.updates(), " of ", experiment_.length.steps + state_.step_offset,
                        " by ", stop_request_.reason(world_), ": ", checkpointer_.path_of(state_.updates()),
                        " is saved, resume with --resume"));
}

void Trainer::show_progress() {
    profile_.enter(Phase::observe);
    if (!progress_.due()) return;
    const double rate = static_cast<double>(pace_.samples) / pace_.seconds;
    const double left =
        static_cast<double>((experiment_.length.steps - state_.step) * experiment_.settings.global_batch);
    const auto samples = static_cast<double>(state_.loss_samples);
    if (samples == 0) return;  // a row has just been printed
    const bool classes =
        experiment_.loss->classifies(experiment_.model.network().outputs(), experiment_.dataset.target_width());
    progress_.show({state_.updates(), state_.loss_sum / samples, classes ? correct_ / samples : -1, state_.sparsity,
                    rate, left / rate});
}

void Trainer::finish() {
    save(true);
    profile_.enter(Phase::evaluate);
    Network& network = experiment_.model.network();
    const Evaluation test = evaluate(network, *experiment_.loss, experiment_.dataset, Split::test, slices_);
    require_finite(test, "test");
    profile_.stop();  // first: the phases are parts of the run's seconds
    state_.seconds = seconds();
    const std::vector<index_t> kept = count_kept(network, experiment_.grid.shards());
    const double final_mb = world_.all_reduce_max(resident_mb()), peak_mb = world_.all_reduce_max(peak_resident_mb());
    const ProfileRows profile = profile_.rows(world_);
    if (!world_.is_root()) return;
    RunResult result;
    result.test = test;
    result.state = state_;
    result.samples_per_s = pace_.samples_per_s();
    result.peak_mb = peak_mb;
    result.resident_mb = final_mb;
    result.profile = profile;
    result.kept = kept;
    result.checkpoint = checkpointer_.path_of(state_.updates());
    if (state_.best_step >= 0) result.best_checkpoint = checkpointer_.path_of(state_.best_step);
    if (profile_.on()) folder_.write_profile(profile_csv(profile));
    folder_.write_summary(summary_json(result, network));
    progress_.note(result_text(result, network, folder_.path().string()));
    if (profile_.on()) progress_.note(profile_text(profile, world_.size()));
    check_final_sparsity(kept);
}

void Trainer::check_final_sparsity(const std::vector<index_t>& kept) {
    const auto& pruner = experiment_.pruner;
    if (!pruner) return;
    const PrunableCount count = count_prunable(experiment_.model.network(), kept);
    if (pruner->has_threshold()) {  // the plan is a bound
        if (pruner->final_sparsity() > 0 && count.kept == count.size)
            progress_.note("warning: no weight was removed: the scores of all are above prune.schedule.threshold");
        return;
    }
    if (pruner->granularity().runs()) return;  // the plan is rounded up in each row
    const index_t planned = count.size - removed_count(pruner->final_sparsity(), count.size);
    if (count.kept > planned)
        fault("the run has ended with ", grouped(count.kept), " of ", grouped(count.size),
              " prunable weights, but prune.final_sparsity ", exact(pruner->final_sparsity()), " leaves ",
              grouped(planned), ": results and checkpoint are written, but they are not what was asked for");
}

}  // namespace pruntrain
