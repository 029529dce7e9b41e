// Output to the user during a run.
#pragma once

#include <string>

#include "pruntrain/base/timer.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/config/choose.hpp"
#include "pruntrain/optim/learning_rate.hpp"
#include "pruntrain/run/history.hpp"

namespace pruntrain {

/// The current state, as a progress line shows it.
struct ProgressState {
    index_t step = 0;
    double loss = 0;       ///< mean since the last row of the history
    double accuracy = -1;  ///< likewise, on the training samples; below 0: not shown
    double sparsity = 0;
    double samples_per_s = 0;
    double seconds_left = 0;
};

/// The progress line is redrawn, or there is a new line each time; automatic: redrawn on a terminal.
enum class ProgressMode { automatic, redraw, lines };
/// The words of run.progress.
inline const std::vector<EnumWord<ProgressMode>> progress_modes{
    {"auto", ProgressMode::automatic}, {"redraw", ProgressMode::redraw}, {"lines", ProgressMode::lines}};

/// The output of rank 0. On a terminal the progress line is redrawn in place; in a log a line is printed at regular
/// intervals. Rows of the history and notes are always separate lines.
class Progress {
   public:
    /// @param active  false on all ranks but the root: then nothing is printed
    Progress(ProgressMode mode, double log_every_s, const RunLength& length, bool active);

    bool due() const;  ///< true if the next progress line is due
    void show(const ProgressState& state);
    void row(const HistoryRow& row);
    void note(const std::string& line);

   private:
    void clear_line();

    bool redraw_;
    bool active_;
    double every_s_;
    RunLength length_;
    Timer since_last_;
    bool line_open_ = false;
};

}  // namespace pruntrain
