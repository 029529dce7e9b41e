// Verifies a checkpoint and prints its content.
#include "pruntrain/app/commands.hpp"
#include "pruntrain/app/files.hpp"
#include "pruntrain/app/find_checkpoint.hpp"
#include "pruntrain/app/inspect_text.hpp"
#include "pruntrain/app/open_checkpoint.hpp"

namespace pruntrain {

ExitStatus run_command(const InspectOptions& options, const Session& session) {
    const FoundCheckpoint checkpoint = find_checkpoint(options.checkpoint, session.world);
    print(inspect_text(inspect(checkpoint, session.world), checkpoint.path), session.world);
    return exit_done;
}

}  // namespace pruntrain
