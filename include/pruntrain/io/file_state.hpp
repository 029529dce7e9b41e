// Detects that an open file has changed.
#pragma once

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// Size and time of the last change. A file replaced by a rename stays unchanged for whoever has it open.
struct FileState {
    index_t bytes = 0;
    index_t seconds = 0;
    index_t nanoseconds = 0;

    friend bool operator==(const FileState&, const FileState&) = default;

    static FileState of(int descriptor) {
        struct stat status {};
        if (fstat(descriptor, &status) != 0) fault("cannot read the state of an open file: ", std::strerror(errno));
        return {status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
    }

    /// The message for a file in another state.
    static constexpr const char* changed = " has changed since it was opened: do not change data files during a run";
};

}  // namespace pruntrain
