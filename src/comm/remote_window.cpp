#include "pruntrain/comm/remote_window.hpp"

#include <algorithm>
#include <set>

#include "communicator_handle.hpp"

namespace pruntrain {

struct RemoteWindow::State : OpenWindow {
    std::set<int> asked;  ///< ranks with transfers in progress
};

RemoteWindow::RemoteWindow(const Communicator& ranks, std::span<std::byte> own) {
    MPI_Comm comm = ranks.handle_->comm;
    MPI_Win window = MPI_WIN_NULL;
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    check(MPI_Win_create(own.data(), static_cast<MPI_Aint>(own.size()), 1, MPI_INFO_NULL, comm, &window),
          "MPI_Win_create (one-sided communication, for data.residency: shard)");
    state_ = std::make_shared<State>();
    state_->window = window;
    MPI_Win_set_errhandler(window, MPI_ERRORS_RETURN);
    check(MPI_Win_lock_all(0, window), "MPI_Win_lock_all");
}

void RemoteWindow::start_get(int rank, std::size_t offset, std::span<std::byte> to) {
    constexpr std::size_t largest_count = std::size_t{1} << 30;  // MPI counts are int
    for (std::size_t begin = 0; begin < to.size(); begin += largest_count) {
        const auto piece = to.subspan(begin, std::min(largest_count, to.size() - begin));
        const auto count = static_cast<int>(piece.size());
        check(MPI_Get(piece.data(), count, MPI_BYTE, rank, static_cast<MPI_Aint>(offset + begin), count, MPI_BYTE,
                      state_->window),
              "MPI_Get");
        state_->asked.insert(rank);
    }
}

void RemoteWindow::finish() {
    // One flush per rank: MPI_Win_flush_all of Open MPI 4.1's osc/pt2pt returns before all bytes have arrived.
    if (!state_) return;
    for (const int rank : state_->asked) check(MPI_Win_flush(rank, state_->window), "MPI_Win_flush");
    state_->asked.clear();
}

}  // namespace pruntrain
