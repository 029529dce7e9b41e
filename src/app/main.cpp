// pruntrain: MPI session, signals, errors, exit status.
#include <malloc.h>

#include <chrono>
#include <csignal>
#include <iostream>
#include <thread>

#include "pruntrain/app/cli.hpp"
#include "pruntrain/app/commands.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/data/checked_source.hpp"
#include "pruntrain/math/blas.hpp"
#include "pruntrain/run/launch.hpp"
#include "pruntrain/run/stop_request.hpp"

using namespace pruntrain;

namespace {

/// In one write, so that no output of mpirun comes between.
void print_error(const std::string& message) { std::cerr << "pruntrain: " + message + "\n"; }

/// After an error that all ranks throw alike: the root prints it, and all return when all have arrived. A rank that
/// threw alone must not wait forever for the others: it aborts the job.
void fail_collectively(const Communicator& world, const std::string& message) {
    if (world.is_root()) print_error(message);
    Pending everyone = world.start_barrier();
    for (int tries = 0; tries < 500; ++tries) {
        if (everyone.done()) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    print_error(text("rank ", world.rank(), " alone: ", message));
    MpiSession::abort(exit_fault);
}

/// For commands that run on many ranks.
template <class Options>
void check_launch(const Options& options, const Communicator& world) {
    if constexpr (requires { options.independent; }) {
        const int tasks = options.independent ? 0 : tasks_without_mpi(world.size(), environment_of_process);
        if (tasks > 0)
            input_error("srun has started ", tasks, " tasks, but MPI sees one rank in each of them: they would all ",
                        "do the same work; start with mpirun, or with srun --mpi=pmix (srun --mpi=list shows the "
                        "choices), or give --independent if each task is a run of its own");
    }
}

ExitStatus run(int argc, char** argv, const Session& session) {
    const std::optional<Command> command = parse_command_line(argc, argv, session.world);
    if (!command) return exit_done;
    if (!std::holds_alternative<TrainOptions>(*command)) StopRequest::release_signals();
    const auto work = [&](const auto& options) {
        check_launch(options, session.world);
        return run_command(options, session);
    };
    return std::visit(work, *command);
}

void tune_allocator() {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 19);  // fixed: glibc would raise it, and keep the memory that pruning frees
    mallopt(M_TRIM_THRESHOLD, 1 << 22);  // a few such buffers that come and go do not cost page faults each time
#endif
}

}  // namespace

int main(int argc, char** argv) {
    const Timer since_start;
    set_up_blas(argv);
    tune_allocator();
    std::signal(SIGXFSZ, SIG_IGN);  // a file at its size limit (ulimit -f) is a failed write with a message, not a kill
    StopRequest::catch_signals();
    try {
        const MpiSession session(argc, argv);
        const Communicator world = Communicator::world();
        try {
            return run(argc, argv, {world, since_start});
        } catch (const InputError& error) {
            fail_collectively(world, error.what());
            return exit_wrong_input;
        } catch (const SharedFault& error) {
            fail_collectively(world, text("fault on ", error.what()));
            MpiSession::abort(exit_fault);  // HDF5 1.10 would crash in an ordinary end after a failed write
        } catch (const LocalInputError& error) {
            print_error(text("rank ", world.rank(), " of ", world.size(), ": ", error.what()));
            MpiSession::abort(exit_wrong_input);
        } catch (const std::exception& error) {
            print_error(text("fault on rank ", world.rank(), " of ", world.size(), ": ", message_of(error)));
            // A proper subset of the ranks may have failed, the others may wait in a collective: abort them all.
            MpiSession::abort(exit_fault);
        }
    } catch (const std::exception& error) {
        print_error(error.what());
        return exit_fault;
    }
}
