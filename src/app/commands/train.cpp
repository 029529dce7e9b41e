// Trains, from the start or from the newest checkpoint of the run.
#include <iostream>

#include "pruntrain/app/check_text.hpp"
#include "pruntrain/app/commands.hpp"
#include "pruntrain/app/files.hpp"
#include "pruntrain/run/stop_request.hpp"
#include "pruntrain/train/start.hpp"
#include "pruntrain/train/trainer.hpp"

namespace pruntrain {

ExitStatus run_command(const TrainOptions& options, const Session& session) {
    const Communicator& world = session.world;
    Experiment experiment(read_config(options.config, options.overrides, world), world);
    print_notes(experiment.configuration, world);
    experiment.dataset.check_held_out(world);
    // Before the folder is made: a start file that cannot be used leaves no folder, and --overwrite removes nothing.
    const auto start = options.resume ? std::nullopt : look_at_start(experiment, world);
    const std::string plan = check_text(experiment) + start_text(start);
    const auto existing = options.resume      ? ExistingRun::resume
                          : options.overwrite ? ExistingRun::overwrite
                                              : ExistingRun::refuse;
    const RunFolder folder(experiment.settings.output, experiment.settings.name, existing, world,
                           options.unlock ? RunLock::Unknown::remove : RunLock::Unknown::watch);
    if (world.is_root()) std::cout << plan << std::endl;
    const StopRequest stop_request(session.since_start, experiment.settings.time_limit_s, options.preempt_step);
    Trainer trainer(experiment, folder, world, options.profile, stop_request);
    if (!options.resume) trainer.start(start);
    else if (!trainer.resume()) trainer.start(look_at_start(experiment, world));
    return trainer.run() ? exit_done : exit_preempted;
}

}  // namespace pruntrain
