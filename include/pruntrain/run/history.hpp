// The history of a run, a row per evaluation.
#pragma once

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "pruntrain/base/types.hpp"
#include "pruntrain/parallel/census.hpp"

namespace pruntrain {

/// One row of history.csv. Unknown values are NaN (no validation split) and empty in the file.
struct HistoryRow {
    double step = 0;          ///< completed updates
    double epoch = 0;         ///< step / steps per epoch
    double seconds = 0;       ///< since the start of the run, over all its restarts
    double train_loss = NAN;  ///< mean over the samples since the previous row
    double validation_loss = NAN;
    double validation_accuracy = NAN;  ///< fraction, 0..1
    double sparsity = 0;               ///< fraction of the prunable weights that are removed
    double learning_rate = 0;          ///< of the last step
    double samples_per_s = 0;          ///< training rate over all ranks since the previous row, without evaluation
    double sparse_layers = 0;          ///< layers that execute their weight sparse
    double values_reduced = 0;         ///< values summed over the ranks in a step: the current size of the gradient
    /// In model order; empty: unknown, from an older checkpoint.
    std::vector<LayerWeights> layers{};
};

struct HistoryColumn {
    const char* name;
    double HistoryRow::*field;
};

/// The columns in the order of the file.
inline constexpr std::array<HistoryColumn, 11> history_columns{{
    {"step", &HistoryRow::step},
    {"epoch", &HistoryRow::epoch},
    {"seconds", &HistoryRow::seconds},
    {"train_loss", &HistoryRow::train_loss},
    {"validation_loss", &HistoryRow::validation_loss},
    {"validation_accuracy", &HistoryRow::validation_accuracy},
    {"sparsity", &HistoryRow::sparsity},
    {"learning_rate", &HistoryRow::learning_rate},
    {"samples_per_s", &HistoryRow::samples_per_s},
    {"sparse_layers", &HistoryRow::sparse_layers},
    {"values_reduced", &HistoryRow::values_reduced},
}};

using History = std::vector<HistoryRow>;

}  // namespace pruntrain
