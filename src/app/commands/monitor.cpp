// Shows the progress of a run in the terminal.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <thread>

#include "pruntrain/app/commands.hpp"
#include "pruntrain/app/files.hpp"
#include "pruntrain/app/run_view.hpp"

namespace pruntrain {

namespace {

ScreenSize screen_size() {
    winsize window{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0) return {};
    return {window.ws_col, std::max<index_t>(1, window.ws_row - 1)};  // the last line is for the cursor
}

volatile std::sig_atomic_t stopped = 0;

/// Redraws whenever the run has changed, until the run is done or Ctrl-C.
void monitor(const std::string& folder) {
    std::signal(SIGINT, [](int) { stopped = 1; });
    std::string shown;
    while (!stopped) {
        const RunStatus run(folder);
        const std::string view = run_view(run, screen_size());
        constexpr const char* clear_and_home = "\033[2J\033[H";
        if (view != shown) std::cout << clear_and_home << view << std::flush;
        shown = view;
        if (run.done) return;
        for (int tenths = 0; tenths < 10 && !stopped; ++tenths)
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

}  // namespace

ExitStatus run_command(const MonitorOptions& options, const Session& session) {
    const Communicator& world = session.world;
    std::string view;
    world.rethrow_collectively([&] {
        if (!world.is_root()) return;
        if (options.once || isatty(STDOUT_FILENO) == 0) view = run_view(RunStatus(options.run), screen_size());
        else monitor(options.run);
    });
    print(view, world);
    if (options.called_watch && world.is_root())  // last, since a drawing clears the screen
        std::cerr << "pruntrain: note: the command watch is now called monitor: write pruntrain monitor " +
                         options.run + "\n";
    return exit_done;
}

}  // namespace pruntrain
