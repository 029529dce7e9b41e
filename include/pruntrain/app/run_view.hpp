// What `monitor` shows of a run.
#pragma once

#include <string>

#include "pruntrain/app/run_status.hpp"
#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// In characters. The default is that of a file.
struct ScreenSize {
    index_t columns = 80;
    index_t rows = 1000;
};

/// Progress, metrics, curves and layer densities, none longer or wider than the screen.
std::string run_view(const RunStatus& run, const ScreenSize& size);

}  // namespace pruntrain
