#include "pruntrain/run/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

/// mpirun gives rank 0 a pseudo-terminal wherever the output goes, so the parent's output is checked too.
bool output_is_terminal() {
    if (!isatty(STDOUT_FILENO)) return false;
    std::error_code error;
    const auto target = std::filesystem::read_symlink(text("/proc/", getppid(), "/fd/1"), error).string();
    return !error && (target.rfind("/dev/pts/", 0) == 0 || target.rfind("/dev/tty", 0) == 0);
}

}  // namespace

Progress::Progress(ProgressMode mode, double log_every_s, const RunLength& length, bool active)
    : redraw_(mode == ProgressMode::redraw || (mode == ProgressMode::automatic && output_is_terminal())),
      active_(active),
      every_s_(redraw_ ? std::min(0.2, log_every_s) : log_every_s),
      length_(length) {}

bool Progress::due() const { return active_ && since_last_.seconds() >= every_s_; }

void Progress::clear_line() {
    if (line_open_) std::cout << "\r\033[K";
    line_open_ = false;
}

void Progress::show(const ProgressState& state) {
    if (!active_) return;
    since_last_.restart();
    clear_line();
    std::cout << "epoch " << fixed(length_.epoch(static_cast<double>(state.step)), 2) << "  step " << state.step << "/"
              << length_.steps << "  loss " << fixed(state.loss, 4);
    if (state.accuracy >= 0) std::cout << "  accuracy " << fixed(state.accuracy, 4);
    std::cout << "  sparsity " << fixed(state.sparsity, 4) << "  " << grouped(static_cast<index_t>(state.samples_per_s))
              << " samples/s  " << duration_text(state.seconds_left) << " left";
    if (!redraw_) std::cout << "\n";
    std::cout << std::flush;
    line_open_ = redraw_;
}

void Progress::row(const HistoryRow& row) {
    if (!active_) return;
    std::string line =
        text("epoch ", fixed(row.epoch, 2), "/", fixed(length_.epoch(static_cast<double>(length_.steps)), 0), "  step ",
             static_cast<index_t>(row.step), "  train loss ", fixed(row.train_loss, 4));
    if (!std::isnan(row.validation_loss)) line += text("  validation loss ", fixed(row.validation_loss, 4));
    if (!std::isnan(row.validation_accuracy)) line += text(" accuracy ", fixed(row.validation_accuracy, 4));
    line += text("  sparsity ", fixed(row.sparsity, 4), "  ", grouped(static_cast<index_t>(row.samples_per_s)),
                 " samples/s  ", duration_text(row.seconds));
    note(line);
}

void Progress::note(const std::string& line) {
    if (!active_) return;
    clear_line();
    std::cout << line << std::endl;
}

}  // namespace pruntrain
