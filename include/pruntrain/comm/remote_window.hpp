// One-sided access to the memory of other nodes.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// Memory that some ranks expose to all others, which read it without a call of the owner (MPI_Get in a passive epoch).
/// A transfer may wait until the owner is in an MPI call, which happens in every step of a run.
class RemoteWindow {
   public:
    RemoteWindow() = default;
    /// Collective. `own` may be empty; it must stay valid and unchanged as long as the window exists.
    RemoteWindow(const Communicator& ranks, std::span<std::byte> own);

    /// Local: starts to fill `to` with the bytes at `offset` in the memory of `rank`.
    void start_get(int rank, std::size_t offset, std::span<std::byte> to);
    /// Local: waits until all started transfers are complete.
    void finish();

   private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace pruntrain
