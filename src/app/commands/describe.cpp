// Prints every key of a configuration, and of the description of a machine.
#include "pruntrain/app/commands.hpp"
#include "pruntrain/app/files.hpp"
#include "pruntrain/plan/scaling.hpp"
#include "pruntrain/train/experiment.hpp"

namespace pruntrain {

ExitStatus run_command(const DescribeOptions&, const Session& session) {
    print(Experiment::describe() + describe_cluster(), session.world);
    return exit_done;
}

}  // namespace pruntrain
