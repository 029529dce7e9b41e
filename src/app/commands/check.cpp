// Prints what would be trained, and with --ranks predicts what it would need and take on that many ranks.
#include "pruntrain/app/check_text.hpp"
#include "pruntrain/app/commands.hpp"
#include "pruntrain/app/files.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/plan/scaling.hpp"
#include "pruntrain/train/start.hpp"

namespace pruntrain {

ExitStatus run_command(const CheckOptions& options, const Session& session) {
    const Communicator& world = session.world;
    const Config config = read_config(options.config, options.overrides, world);
    const Cluster cluster = options.cluster.empty() ? Cluster{} : read_cluster(read_config(options.cluster, {}, world));
    Experiment experiment(config, world, options.ranks);
    print_notes(config, world);
    experiment.dataset.check_held_out(world);
    const auto start = look_at_start(experiment, world);
    std::string found = options.json ? "" : check_text(experiment) + start_text(start);
    if (options.ranks > 0) {
        const ScalingPlan plan = plan_scaling(experiment, cluster, options.density);
        found += options.json ? scaling_json(plan) : "\n" + scaling_text(plan);
    }
    print(found, world);
    return exit_done;
}

}  // namespace pruntrain
