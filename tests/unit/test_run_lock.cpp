// The lock of a run's folder: who gets it, and from whom.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/base/timer.hpp"
#include "pruntrain/run/launch.hpp"
#include "pruntrain/run/run_lock.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace pruntrain;

namespace {

namespace fs = std::filesystem;

// `patient` where nobody may have to wait, on a busy machine too.
constexpr RunLock::Times patient{.renew_s = 0.05, .stale_s = 30, .ancient_s = 30, .poll_s = 0.02};
constexpr RunLock::Times patient_renewal{.renew_s = 30, .stale_s = 30, .ancient_s = 30, .poll_s = 0.2};
constexpr RunLock::Times quick{.renew_s = 0.05, .stale_s = 0.5, .ancient_s = 30, .poll_s = 0.02};

struct LockedFolder {
    TemporaryFolder folder;
    fs::path file = folder / "run.lock";

    /// A lock of a process on another machine, last renewed some seconds ago.
    void put_foreign(double age_s, const std::string& more = "") const {
        put_content(file,
                    "host elsewhere\npid 12\nsince 2026-01-02 03:04:05 UTC\nmachine elsewhere/1/2\ntoken 77\n" + more);
        age(age_s);
    }
    void age(double seconds) const {
        fs::last_write_time(file,
                            fs::last_write_time(file) - std::chrono::milliseconds(static_cast<int>(1000 * seconds)));
    }
    std::string refusal(const RunLock::Times& times = quick, RunLock::Unknown unknown = RunLock::Unknown::watch) const {
        try {
            const RunLock lock(folder.path(), times, unknown);
            return "";
        } catch (const InputError& error) {
            return error.what();
        }
    }
};

std::string changed(std::string content, const std::string& from, const std::string& to) {
    const auto place = content.find(from);
    REQUIRE(place != std::string::npos);
    return content.replace(place, from.size(), to);
}

/// An environment variable for one test case.
class Variable {
   public:
    Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
    ~Variable() { ::unsetenv(name_); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

   private:
    const char* name_;
};

}  // namespace

TEST_CASE("run lock: one holder at a time; the file is gone at the end") {
    const LockedFolder locked;
    {
        const RunLock lock(locked.folder.path(), quick);
        CHECK(fs::exists(locked.file));
        CHECK(lock.is_held());
        const std::string message = locked.refusal();
        CHECK(RunLock::refusal(locked.folder.path()) == message);
        for (const std::string& word :
             {locked.folder.path().string(), text("process ", getpid()), std::string("since 20"), std::string("UTC"),
              "--unlock, which removes " + locked.file.string()})
            CHECK_MESSAGE(message.find(word) != std::string::npos, message);
        CHECK(lock.is_held());
    }
    CHECK_FALSE(fs::exists(locked.file));
    CHECK(RunLock::refusal(locked.folder.path()).empty());
    CHECK(locked.refusal().empty());
}

TEST_CASE("run lock: of many that start at once one gets it") {
    const LockedFolder locked;
    for (const bool stale : {false, true}) {
        if (stale) locked.put_foreign(100);
        std::atomic<int> holders = 0, refused = 0, tried = 0;
        constexpr int starts = 8;
        std::vector<std::thread> threads;
        for (int i = 0; i < starts; ++i)
            threads.emplace_back([&] {
                try {
                    const RunLock lock(locked.folder.path(), quick);
                    ++holders;
                    ++tried;
                    while (tried < starts) std::this_thread::sleep_for(std::chrono::milliseconds(1));
                } catch (const InputError&) {
                    ++refused;
                    ++tried;
                }
            });
        for (auto& thread : threads) thread.join();
        CHECK(holders == 1);
        CHECK(refused == starts - 1);
        CHECK(fs::is_empty(locked.folder.path()));
    }
}

TEST_CASE("run lock: a process that has ended does not keep it") {
    const LockedFolder locked;
    const pid_t child = fork();
    if (child == 0) {
        const RunLock lock(locked.folder.path(), quick);
        _exit(0);  // as after kill -9: nothing is removed
    }
    int status = 0;
    SUBCASE("a zombie, which nobody has waited for") {
        siginfo_t ended{};
        REQUIRE(waitid(P_PID, child, &ended, WEXITED | WNOWAIT) == 0);
        REQUIRE(fs::exists(locked.file));
        CHECK(locked.refusal(patient).empty());
        waitpid(child, &status, 0);
    }
    SUBCASE("gone") {
        waitpid(child, &status, 0);
        REQUIRE(fs::exists(locked.file));
        CHECK(RunLock::refusal(locked.folder.path()).empty());
        CHECK(locked.refusal().empty());
    }
    SUBCASE("its number belongs to another process now") {
        waitpid(child, &status, 0);
        put_content(locked.file,
                    changed(content_of(locked.file), text("pid ", child, "\n"), text("pid ", getpid(), "\n")));
        CHECK(locked.refusal().empty());
    }
    SUBCASE("but on another machine, or after a restart of this one, that process says nothing") {
        waitpid(child, &status, 0);
        put_content(locked.file, changed(content_of(locked.file), "machine ", "machine x"));
        CHECK_FALSE(RunLock::refusal(locked.folder.path()).empty());
    }
    CHECK_FALSE(locked.refusal().size() > 0);
}

TEST_CASE("run lock: a process on another machine holds it as long as it renews it") {
    const LockedFolder locked;
    SUBCASE("it does") {
        locked.put_foreign(0);
        std::atomic<bool> ends = false;
        std::thread other([&] {
            while (!ends) {
                std::this_thread::sleep_for(std::chrono::milliseconds(100));
                fs::last_write_time(locked.file, fs::file_time_type::clock::now());
            }
        });
        const std::string message = locked.refusal(patient);
        ends = true;
        other.join();
        CHECK_MESSAGE(message.find("process 12 on elsewhere, since 2026-01-02 03:04:05 UTC") != std::string::npos,
                      message);
    }
    SUBCASE("it does not") {
        locked.put_foreign(0);
        const Timer waited;
        CHECK(locked.refusal().empty());
        CHECK(waited.seconds() >= quick.stale_s);
    }
    SUBCASE("its clock is ahead: its age is watched, not computed") {
        locked.put_foreign(-3000);
        CHECK(locked.refusal().empty());
    }
    SUBCASE("older than clocks can differ: at once") {
        locked.put_foreign(100);
        const Timer waited;
        CHECK(locked.refusal(patient).empty());
        CHECK(waited.seconds() < patient.stale_s);
    }
    SUBCASE("an empty lock, whose process was interrupted or writes it just now") {
        put_content(locked.file, "");
        const std::string message = RunLock::refusal(locked.folder.path());
        CHECK_MESSAGE(message.find("does not name (it is empty or damaged)") != std::string::npos, message);
        CHECK_MESSAGE(message.find("--unlock") != std::string::npos, message);
        CHECK(locked.refusal().empty());
    }
    SUBCASE("a lock that something else has written") {
        put_content(locked.file, std::string("\0\xff junk\nhost \npid", 17));
        const std::string message = RunLock::refusal(locked.folder.path());
        CHECK_MESSAGE(message.find("does not name (it is empty or damaged)") != std::string::npos, message);
        CHECK(locked.refusal().empty());
    }
    CHECK((fs::is_empty(locked.folder.path()) || fs::exists(locked.file)));
}

TEST_CASE("run lock: a batch job that SLURM has started again takes its own lock at once") {
    const LockedFolder locked;
    const Variable job("SLURM_JOB_ID", "31"), restart("SLURM_RESTART_COUNT", "2");
    const Timer waited;
    SUBCASE("the same job before its restart") {
        locked.put_foreign(0, "job 31\nrestart 1\n");
        CHECK(locked.refusal(patient).empty());
        CHECK(waited.seconds() < patient.stale_s);
    }
    SUBCASE("another job") {
        locked.put_foreign(0, "job 32\nrestart 1\n");
        CHECK(locked.refusal().empty());
        CHECK(waited.seconds() >= quick.stale_s);
    }
    SUBCASE("another step of the same start") {
        locked.put_foreign(0, "job 31\nrestart 2\n");
        CHECK(locked.refusal().empty());
        CHECK(waited.seconds() >= quick.stale_s);
    }
    SUBCASE("the same number on another cluster") {
        locked.put_foreign(0, "job 31 of north\nrestart 1\n");
        CHECK(locked.refusal().empty());
        CHECK(waited.seconds() >= quick.stale_s);
    }
}

TEST_CASE("run lock: a user may remove a lock of which it is not known whether its process lives") {
    const LockedFolder locked;
    const auto unlocked = [&] { return locked.refusal(patient, RunLock::Unknown::remove); };
    const Timer waited;
    SUBCASE("of another machine") { locked.put_foreign(0); }
    SUBCASE("an empty one") { put_content(locked.file, ""); }
    SUBCASE("none") {}
    SUBCASE("but not one whose process lives") {
        const RunLock lock(locked.folder.path(), quick);
        const std::string message = unlocked();
        CHECK_MESSAGE(message.find("end that process first") != std::string::npos, message);
        CHECK(lock.is_held());
    }
    CHECK(unlocked().empty());
    CHECK(waited.seconds() < patient.stale_s);
    CHECK(fs::is_empty(locked.folder.path()));
}

TEST_CASE("run lock: one that is not exactly as it was written is lost, and left alone") {
    const LockedFolder locked;
    const auto lock = std::make_unique<RunLock>(locked.folder.path(), patient_renewal);
    const std::string own = content_of(locked.file);
    for (const std::string field : {"host ", "pid ", "process_start ", "token "}) {
        put_content(locked.file, changed(own, field, field + "1"));
        CHECK_FALSE(lock->is_held());
    }
    fs::remove(locked.file);
    CHECK_FALSE(lock->is_held());
    CHECK_FALSE(fs::exists(locked.file));  // not made again: another run may have been here
    std::thread puts_back([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        put_content(locked.file, own);
    });
    CHECK(lock->is_held());
    puts_back.join();
}

TEST_CASE("run lock: one that is renewed stays fresh, one that was taken or removed is noticed") {
    const LockedFolder locked;
    const pid_t child = fork();  // it ends itself
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        const RunLock lock(locked.folder.path(), quick);
        while (true) pause();
    }
    while (content_of(locked.file).find("token ") == std::string::npos)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    locked.age(100);
    const auto aged = fs::last_write_time(locked.file);
    while (fs::last_write_time(locked.file) == aged) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(fs::last_write_time(locked.file) > aged + std::chrono::seconds(90));
    const std::string taken = "host elsewhere\ntoken 77\n";
    bool is_taken = false;
    SUBCASE("taken") {
        is_taken = true;
        const fs::path other = locked.folder / "other";
        put_content(other, taken);
        fs::rename(other, locked.file);
    }
    SUBCASE("removed by hand") { fs::remove(locked.file); }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 1);
    CHECK(fs::exists(locked.file) == is_taken);
    if (is_taken) CHECK(content_of(locked.file) == taken);
}

TEST_CASE("run lock: what is in its way is named") {
    const LockedFolder locked;
    SUBCASE("a folder") { fs::create_directory(locked.file); }
    SUBCASE("a pipe") { REQUIRE(mkfifo(locked.file.c_str(), 0600) == 0); }
    SUBCASE("a symbolic link") { fs::create_symlink("/dev/null", locked.file); }
    const std::string message = locked.refusal();
    CHECK_MESSAGE(message.find(locked.file.string()) != std::string::npos, message);
    CHECK(fs::exists(fs::symlink_status(locked.file)));
}

TEST_CASE("launch: tasks of srun that MPI does not connect") {
    const auto tasks = [](int world_size, const std::vector<std::pair<std::string, std::string>>& variables) {
        return tasks_without_mpi(world_size, [&](const std::string& name) {
            for (const auto& [key, value] : variables)
                if (key == name) return value;
            return std::string();
        });
    };
    const std::pair<std::string, std::string> of_job{"SLURM_NTASKS", "4"}, number{"SLURM_PROCID", "0"},
        of_step{"SLURM_STEP_NUM_TASKS", "4"};
    CHECK(tasks(1, {of_job, number, of_step}) == 4);
    CHECK(tasks(4, {of_job, number, of_step}) == 0);                                 // srun --mpi=pmix
    CHECK(tasks(1, {of_job, number}) == 0);                                          // in a batch script
    CHECK(tasks(1, {of_job, number, {"SLURM_STEP_NUM_TASKS", "1"}}) == 0);           // an interactive step; srun -n 1
    CHECK(tasks(1, {of_job, number, of_step, {"OMPI_COMM_WORLD_SIZE", "1"}}) == 0);  // mpirun -n 1 on another node
    CHECK(tasks(1, {of_job, number, of_step, {"PMI_SIZE", "1"}}) == 0);              // the same with hydra
    CHECK(tasks(1, {of_job, number, of_step, {"PMI_SIZE", "4"}}) == 4);              // srun --mpi=pmi2, other MPI
    CHECK(tasks(1, {}) == 0);
}
