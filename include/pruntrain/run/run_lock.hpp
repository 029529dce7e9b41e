// The lock of a run's folder: one process at a time writes there.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace pruntrain {

/// The file `run.lock` in the folder of a run. It works without flock and on network file systems: the file is created
/// with O_EXCL, names its holder (host, process, batch job), and a thread renews its time stamp. The lock of a process
/// that has ended is taken over:
/// - on the same machine if the process is not there any more;
/// - on another machine if the lock has not been renewed for `stale_s`, watched with the own clock and so independent
///   of clock skew, or if it is older than `ancient_s`, more than clocks of a cluster may differ;
/// - at once if it belongs to this batch job before its last restart.
/// The lock is lost when the file is not exactly the one that this process wrote, or is gone: another run may have been
/// in the folder meanwhile. A process that has lost it, because it was suspended or because somebody removed the file,
/// ends itself before it writes again.
class RunLock {
   public:
    struct Times {
        double renew_s = 10;     ///< between renewals
        double stale_s = 60;     ///< without a renewal, as watched by the process that waits
        double ancient_s = 600;  ///< without a renewal, by the time stamps of the file system
        double poll_s = 1;       ///< between looks of the process that waits
    };

    /// The lock of a process of which it is not known whether it lives.
    enum class Unknown { watch, remove };

    /// Waits until it is known whether the holder lives, with a note on standard error if that takes time; or removes
    /// its lock at once, with a warning.
    /// @throws InputError if another process holds the lock, or if the file cannot be written
    explicit RunLock(const std::filesystem::path& folder, Unknown unknown = Unknown::watch)
        : RunLock(folder, Times(), unknown) {}
    RunLock(const std::filesystem::path& folder, const Times& times, Unknown unknown = Unknown::watch);
    /// Removes the file.
    ~RunLock();
    RunLock(const RunLock&) = delete;
    RunLock& operator=(const RunLock&) = delete;

    /// True if this process still holds the lock. A file that is gone is looked for once more after a while.
    bool is_held() const;
    /// Before a write: ends this process with exit status 1 and a message if it has lost the lock.
    void require() const;

    /// The message for a folder that is in use; "" if nobody holds its lock, or a process that has ended. Does not
    /// wait.
    static std::string refusal(const std::filesystem::path& folder);

   private:
    class Renewal;
    std::unique_ptr<Renewal> renewal_;
};

}  // namespace pruntrain
