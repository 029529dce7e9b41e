#include "pruntrain/run/run_lock.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/base/timer.hpp"

namespace pruntrain {

namespace fs = std::filesystem;

namespace {

constexpr int exit_fault = 1;

fs::path lock_file(const fs::path& folder) { return folder / "run.lock"; }

std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

std::string from_environment(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
}

std::string host_name() {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
}

/// Host, its boot and its process namespace: where the same process number is the same process. Containers may share a
/// host name and the number 1.
std::string machine() {
    std::error_code ignored;
    return text(host_name(), "/", first_line("/proc/sys/kernel/random/boot_id"), "/",
                fs::read_symlink("/proc/self/ns/pid", ignored).string());
}

/// State and start of a process from /proc/PID/stat. The name before them may have blanks and brackets.
struct Process {
    std::string state, start;
};
Process process(const std::string& pid) {
    const std::string stat = first_line("/proc/" + pid + "/stat");
    const auto name_end = stat.rfind(')');
    if (name_end == std::string::npos) return {};
    std::istringstream fields(stat.substr(name_end + 1));
    Process found;
    std::string field;
    constexpr int start_field = 20;  // after the name: state is 1, start time 20
    for (int number = 1; number <= start_field && fields >> field; ++number) {
        if (number == 1) found.state = field;
        if (number == start_field) found.start = field;
    }
    return found;
}

/// What a lock says about its holder.
struct Holder {
    std::string host, machine, pid, start, since, job, restart, token;

    static Holder of_this_process() {
        Holder own;
        own.host = host_name();
        own.machine = pruntrain::machine();
        own.pid = std::to_string(::getpid());
        own.start = process(own.pid).start;
        std::array<char, 40> now{};
        const std::time_t clock = std::time(nullptr);
        std::tm parts{};
        std::strftime(now.data(), now.size(), "%Y-%m-%d %H:%M:%S UTC", ::gmtime_r(&clock, &parts));
        own.since = now.data();
        own.job = from_environment("SLURM_JOB_ID");
        const std::string cluster = from_environment("SLURM_CLUSTER_NAME");  // clusters may share a file system
        if (!own.job.empty() && !cluster.empty()) own.job += " of " + cluster;
        own.restart = from_environment("SLURM_RESTART_COUNT");
        if (own.restart.empty()) own.restart = "0";
        std::random_device random;
        own.token = hex(std::uint64_t{random()} << 32 | random());
        return own;
    }
    template <class Use>
    void for_each_field(Use&& use) {
        use("host", host), use("pid", pid), use("since", since), use("job", job), use("restart", restart);
        use("machine", machine), use("process_start", start), use("token", token);
    }
    std::string content() {
        std::string lines = "# The run in this folder is being trained. The file is removed when the run ends.\n";
        for_each_field([&](const char* name, const std::string& value) { lines += text(name, " ", value, "\n"); });
        return lines;
    }
    static Holder parse(const std::string& content) {
        std::map<std::string, std::string> values;
        std::istringstream lines(content);
        for (std::string line; std::getline(lines, line);)
            if (const auto blank = line.find(' '); blank != std::string::npos)
                values[line.substr(0, blank)] = shown(line.substr(blank + 1));
        Holder holder;
        holder.for_each_field([&](const char* name, std::string& value) { value = values[name]; });
        return holder;
    }
    bool is_known() const { return !host.empty() && !pid.empty(); }
    std::string describe() const {
        if (!is_known()) return "a process that the file does not name (it is empty or damaged)";
        return text("process ", pid, " on ", host, job.empty() ? "" : ", job " + job, ", since ", since);
    }
};

/// A lock as found on disk.
struct Found {
    Holder holder;
    std::string content;
    timespec renewed{};

    bool same_as(const Found& other) const {
        return content == other.content && renewed.tv_sec == other.renewed.tv_sec &&
               renewed.tv_nsec == other.renewed.tv_nsec;
    }
};

/// An open file; its number is negative if it could not be opened.
class File {
   public:
    File(const fs::path& path, int flags)
        : number_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666)) {}
    ~File() {
        if (number_ >= 0) ::close(number_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    operator int() const { return number_; }

   private:
    int number_;
};

/// Opened anew each time: only an open makes an NFS client ask the server for content and time stamp.
/// @return nothing if there is no lock; errno is then ENOENT, or the reason why it cannot be read
std::optional<Found> read_lock(const fs::path& path) {
    const File file(path, O_RDONLY);
    struct stat status {};
    if (file < 0 || ::fstat(file, &status) != 0) return std::nullopt;
    if (!S_ISREG(status.st_mode))
        input_error(path.string(), " is in the way: it must be a file that this program writes; remove it");
    std::array<char, 4096> content{};
    const ssize_t size = ::read(file, content.data(), content.size());
    if (size < 0) return std::nullopt;
    Found found;
    found.content.assign(content.data(), static_cast<std::size_t>(size));
    found.holder = Holder::parse(found.content);
    found.renewed = status.st_mtim;
    return found;
}

/// @return false if the file is there already
bool create(const fs::path& path, const std::string& content) {
    const auto refuse = [&] {
        input_error("the lock of the run ", path.string(), " cannot be written: ", std::strerror(errno),
                    ": choose another run.output, or free disk space");
    };
    const File file(path, O_WRONLY | O_CREAT | O_EXCL);
    if (file < 0 && errno == EEXIST) return false;
    if (file < 0) refuse();
    const auto size = static_cast<ssize_t>(content.size());
    if (::write(file, content.data(), content.size()) != size || ::fsync(file) != 0) {
        const int reason = errno;
        ::unlink(path.c_str());
        errno = reason == 0 ? ENOSPC : reason;
        refuse();
    }
    return true;
}

enum class Life { ended, alive, unknown };

Life life_of(const Holder& holder, const Holder& own) {
    if (!holder.job.empty() && holder.job == own.job &&
        std::atoi(holder.restart.c_str()) < std::atoi(own.restart.c_str()))
        return Life::ended;
    if (holder.machine.empty() || holder.machine != own.machine) return Life::unknown;
    const Process found = process(holder.pid);
    if (found.start.empty()) {  // it is not there, or /proc hides the processes of other users
        const bool gone = ::kill(std::atoi(holder.pid.c_str()), 0) != 0 && errno == ESRCH;
        return gone ? Life::ended : Life::unknown;
    }
    return found.start != holder.start || found.state == "Z" || found.state == "X" ? Life::ended : Life::alive;
}

/// Seconds since the last renewal. Both time stamps are of the file system, so that its clock does not matter.
double age_s(const fs::path& folder, const Found& found, const Holder& own) {
    const fs::path probe = folder / (".probe." + own.token);
    struct stat status {};
    {
        const File file(probe, O_WRONLY | O_CREAT | O_EXCL);
        if (file < 0 || ::fstat(file, &status) != 0) return 0;
    }
    ::unlink(probe.c_str());
    return static_cast<double>(status.st_mtim.tv_sec - found.renewed.tv_sec) +
           static_cast<double>(status.st_mtim.tv_nsec - found.renewed.tv_nsec) / 1e9;
}

/// The one text for a folder that is in use.
std::string in_use(const fs::path& path, const Holder& holder) {
    return text(
        "the run folder ", path.parent_path().string(), " is in use by ", holder.describe(),
        ": wait for the end of that run, or choose another run.name; if no process trains there any more, start "
        "with --unlock, which removes ",
        path.string());
}

[[noreturn]] void refuse(const fs::path& path, const Holder& holder) { input_error(in_use(path, holder)); }

/// Waits until the holder is known to have ended. @throws InputError when it is known to live
/// @return false if the lock has been removed meanwhile
bool wait_for_end(const fs::path& folder, const Found& first, const Holder& own, const RunLock::Times& times) {
    const fs::path path = lock_file(folder);
    const Timer watching;
    bool said = false;
    while (true) {
        const auto now = read_lock(path);
        if (!now) return false;
        const Life life = life_of(now->holder, own);
        // A renewal, or another process that was faster.
        if (life == Life::alive || !now->same_as(first)) refuse(path, now->holder);
        if (life == Life::ended || watching.seconds() > times.stale_s || age_s(folder, *now, own) > times.ancient_s)
            return true;
        if (!std::exchange(said, true))
            std::cerr << text("pruntrain: note: ", path.string(), " is the lock of ", now->holder.describe(),
                              ": waiting up to ", exact(times.stale_s),
                              " s for a renewal; without one that process has ended, and this run starts\n");
        std::this_thread::sleep_for(std::chrono::duration<double>(times.poll_s));
    }
}

/// Removes a lock whose holder has ended. Several processes may try this at once, and one of them may already have
/// created its own lock. The rename decides: a lock that is not the one that was examined is put back. Its holder
/// notices if that fails.
void remove_stale(const fs::path& path, const Found& stale, const Holder& own) {
    const auto now = read_lock(path);
    if (!now || now->content != stale.content) return;
    const fs::path aside = path.string() + "." + own.token;
    if (::rename(path.c_str(), aside.c_str()) != 0) return;  // another process was faster
    const auto moved = read_lock(aside);
    if (moved && moved->content != stale.content) (void)::link(aside.c_str(), path.c_str());
    ::unlink(aside.c_str());
}

/// What --unlock asks for. @throws InputError when the holder is known to live
void warn_of_removal(const fs::path& path, const Holder& holder, const Holder& own) {
    if (life_of(holder, own) == Life::alive)
        input_error("the run folder ", path.parent_path().string(), " is in use by ", holder.describe(),
                    ", which runs (or is suspended) on this machine: --unlock removes no lock of a process that lives; "
                    "end that process first, or choose another run.name");
    std::cerr << text("pruntrain: warning: --unlock removes ", path.string(), ", the lock of ", holder.describe(),
                      ": if that process trains after all, it ends with status 1 when it next looks at its lock, "
                      "and loses its work since its last checkpoint\n");
}

}  // namespace

/// The held lock and the thread that renews it.
class RunLock::Renewal {
   public:
    Renewal(const fs::path& folder, std::string own, const Times& times)
        : path_(lock_file(folder)), own_(std::move(own)), times_(times), thread_([this] { renew(); }) {}
    ~Renewal() {
        {
            const std::lock_guard guard(mutex_);
            ends_ = true;
        }
        changed_.notify_all();
        thread_.join();
        if (look() == Look::own) ::unlink(path_.c_str());
    }

    bool is_held() {
        Look seen = look();
        if (seen == Look::gone) {  // another process may have moved it aside by mistake, and puts it back
            std::this_thread::sleep_for(std::chrono::duration<double>(times_.poll_s));
            seen = look();
        }
        return seen == Look::own || seen == Look::unreadable;
    }

    void require() {
        if (is_held()) return;
        std::cerr << text("pruntrain: fault: ", loss(), "; this process ends without writing\n") << std::flush;
        std::_Exit(exit_fault);  // mpirun ends the other ranks
    }

   private:
    enum class Look { own, other, gone, unreadable };

    /// An error of the file system says nothing about the holder.
    Look look() const {
        try {
            const auto found = read_lock(path_);
            if (!found && errno != ENOENT) return Look::unreadable;
            // A folder that is away as a whole may come back, with the lock; until then nothing can be written.
            if (!found) return fs::exists(path_.parent_path()) ? Look::gone : Look::unreadable;
            return found->content == own_ ? Look::own : Look::other;
        } catch (const InputError&) {  // no file
            return Look::other;
        } catch (const fs::filesystem_error&) {
            return Look::unreadable;
        }
    }

    /// Who has the lock now, in words.
    std::string loss() const {
        const std::string folder = path_.parent_path().string();
        try {
            const auto found = read_lock(path_);
            if (!found)
                return text("the lock ", path_.string(),
                            " has been removed while this process trained, so that another run may have been in the "
                            "folder: look at its files, then start again with --resume");
            return text(found->holder.describe(), " has taken the lock of the run folder ", folder,
                        ", because this process did not renew it (it was suspended, or its file system hung), or "
                        "because somebody removed it");
        } catch (const InputError& error) {
            return error.what();
        }
    }

    void renew() {
        std::unique_lock guard(mutex_);
        while (!changed_.wait_for(guard, std::chrono::duration<double>(times_.renew_s), [this] { return ends_; })) {
            guard.unlock();
            require();
            ::utimensat(AT_FDCWD, path_.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
            guard.lock();
        }
    }

    const fs::path path_;
    const std::string own_;  ///< content of the lock
    const Times times_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool ends_ = false;
    std::thread thread_;  // last member: it uses the others
};

RunLock::RunLock(const fs::path& folder, const Times& times, Unknown unknown) {
    Holder own = Holder::of_this_process();
    const std::string content = own.content();
    const fs::path path = lock_file(folder);
    constexpr int most_tries = 100;  // each is an attempt that another process was faster to make
    for (int tries = 0; !create(path, content); ++tries) {
        const auto found = read_lock(path);
        if (!found && errno != ENOENT)
            input_error("the lock of the run ", path.string(), " cannot be read: ", std::strerror(errno),
                        ": it may belong to another user; choose another run.output");
        if (!found) continue;  // it has just been removed
        if (tries == most_tries) refuse(path, found->holder);
        if (unknown == Unknown::remove) warn_of_removal(path, found->holder, own);
        if (unknown == Unknown::remove || wait_for_end(folder, *found, own, times)) remove_stale(path, *found, own);
    }
    renewal_ = std::make_unique<Renewal>(folder, content, times);
    if (!is_held()) {
        const auto found = read_lock(path);
        renewal_.reset();
        refuse(path, found ? found->holder : Holder());
    }
}

RunLock::~RunLock() = default;

bool RunLock::is_held() const { return renewal_->is_held(); }

void RunLock::require() const { renewal_->require(); }

std::string RunLock::refusal(const fs::path& folder) {
    const auto found = read_lock(lock_file(folder));
    if (!found) return "";
    const Holder own = Holder::of_this_process();
    const bool ended = life_of(found->holder, own) == Life::ended || age_s(folder, *found, own) > Times().ancient_s;
    return ended ? "" : in_use(lock_file(folder), found->holder);
}

}  // namespace pruntrain
