// A folder for one test case of many ranks.
#pragma once

#include <optional>
#include <string>

#include "pruntrain/comm/communicator.hpp"
#include "temporary_folder.hpp"

namespace pruntrain::test {

/// A folder that rank 0 has made and filled, known to all ranks.
class SharedFolder {
   public:
    template <class Fill>
    SharedFolder(const Communicator& world, const Fill& fill) : world_(world) {
        if (world.is_root()) {
            own_.emplace();
            fill(*own_);
            path_ = own_->path().string();
        }
        world.broadcast_text(path_);
    }
    ~SharedFolder() { world_.barrier(); }
    const std::string& path() const { return path_; }

   private:
    const Communicator& world_;
    std::optional<TemporaryFolder> own_;
    std::string path_;
};

}  // namespace pruntrain::test
