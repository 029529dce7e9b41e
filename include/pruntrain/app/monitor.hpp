// A run as a drawing in a terminal, while it goes on or after it.
#pragma once

#include <filesystem>

namespace pruntrain {

/// Prints how far a run is and where it stands, from the files in its folder; on a terminal again whenever that
/// changes, until the run is done or Ctrl-C. What a run has written of a line so far is passed over.
/// @param once  the first drawing only
/// @throws InputError if the folder is none of a run
void watch_run(const std::filesystem::path& run, bool once);

}  // namespace pruntrain
