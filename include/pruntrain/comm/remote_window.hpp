// Memory of other nodes.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// Memory that some ranks show to all, who read it without the owner's call (MPI_Get in a passive epoch). The copy may
/// wait until the owner is in some MPI call, as it is in every step of a run.
class RemoteWindow {
   public:
    RemoteWindow() = default;
    /// Collective. `own` may be empty; its bytes stay where they are and as they are while there is a window.
    RemoteWindow(const Communicator& ranks, std::span<std::byte> own);

    /// Local: starts to fill `to` with what lies at `offset` in the memory of `rank`.
    void start_get(int rank, std::size_t offset, std::span<std::byte> to);
    /// Local: waits until all that was begun is there.
    void finish();

   private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace pruntrain
