// The MPI side of a communicator. Included only by the sources of this folder.
#pragma once

#include <mpi.h>

#include <exception>
#include <string>

#include "pruntrain/base/error.hpp"
#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

inline void check(int status, const char* call) {
    if (status == MPI_SUCCESS) return;
    char message[MPI_MAX_ERROR_STRING];
    int length = 0;
    MPI_Error_string(status, message, &length);
    fault(call, " failed: ", std::string(message, static_cast<std::size_t>(length)));
}

struct Communicator::Handle {
    MPI_Comm comm = MPI_COMM_NULL;
    bool owned = false;
    int rank = 0;
    int size = 1;

    Handle(MPI_Comm communicator, bool own) : comm(communicator), owned(own) {
        check(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
        check(MPI_Comm_size(comm, &size), "MPI_Comm_size");
    }
    ~Handle() {
        if (owned) MPI_Comm_free(&comm);
    }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
};

/// A window in a passive epoch to all its ranks. Closing it is collective: see ~Pending.
struct OpenWindow {
    MPI_Win window = MPI_WIN_NULL;

    OpenWindow() = default;
    ~OpenWindow() {
        if (std::uncaught_exceptions() > 0) return;
        MPI_Win_unlock_all(window);
        MPI_Win_free(&window);
    }
    OpenWindow(const OpenWindow&) = delete;
    OpenWindow& operator=(const OpenWindow&) = delete;
};

}  // namespace pruntrain
