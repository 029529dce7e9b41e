#include "pruntrain/run/heartbeat.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/base/timer.hpp"

namespace pruntrain {

namespace {

constexpr int beats = 5;  // per stall period, so that a lost datagram is no stall
constexpr int exit_fault = 1;
constexpr std::size_t most_named = 8;

/// A heartbeat datagram. Ranks run on machines of one kind, so there is no byte-order conversion.
struct Beat {
    std::uint64_t run;  ///< a random value that identifies the run, to ignore foreign datagrams
    std::int64_t rank, step;
    std::uint64_t entered;  ///< number of phases entered
    std::int32_t phase;
    std::int32_t leaves;  ///< true (1) if the rank ends normally
    std::array<char, 64> host;
};

/// A UDP socket, closed by the destructor.
class Socket {
   public:
    Socket() : number_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in any{};
        any.sin_family = AF_INET;
        any.sin_addr.s_addr = htonl(INADDR_ANY);
        if (::bind(number_, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) return;
        socklen_t size = sizeof any;
        if (::getsockname(number_, reinterpret_cast<sockaddr*>(&any), &size) == 0) port_ = any.sin_port;
    }
    ~Socket() { ::close(number_); }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    /// In network byte order. 0: there is no port, so nothing is received.
    std::uint16_t port() const { return port_; }
    void send(const Beat& beat, const std::vector<sockaddr_in>& addresses) const {
        for (const auto& to : addresses)
            ::sendto(number_, &beat, sizeof beat, MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    /// @return true if a datagram arrived within this time
    bool receive(Beat& beat, double seconds) const {
        pollfd waiting{number_, POLLIN, 0};
        if (::poll(&waiting, 1, std::max(0, static_cast<int>(1000 * seconds))) <= 0) return false;
        return ::recv(number_, &beat, sizeof beat, MSG_DONTWAIT) == sizeof beat;
    }

   private:
    int number_;
    std::uint16_t port_ = 0;
};

std::string host_name() {
    std::array<char, 64> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
}

using Addresses = std::array<std::uint32_t, 16>;

/// IPv4 addresses of this machine's interfaces, in network byte order; 0: no more. The address of the host name would
/// not do: on many machines it is 127.0.1.1.
Addresses own_addresses() {
    Addresses addresses{};
    ifaddrs* all = nullptr;
    if (::getifaddrs(&all) != 0) return addresses;
    std::size_t count = 0;
    for (const ifaddrs* one = all; one != nullptr && count < addresses.size(); one = one->ifa_next) {
        if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
        if ((one->ifa_flags & IFF_UP) == 0 || (one->ifa_flags & IFF_LOOPBACK) != 0) continue;
        addresses[count++] = reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr.s_addr;
    }
    ::freeifaddrs(all);
    return addresses;
}

}  // namespace

class Heartbeat::Thread {
   public:
    Thread(double stall_s, bool aborts, const Profile& profile, const std::atomic<index_t>& step,
           const Communicator& world)
        : stall_s_(stall_s), aborts_(aborts), profile_(profile), step_(step), rank_(world.rank()) {
        const auto ports = world.all_gather(socket_.port());
        for (std::size_t rank = 0; rank < ports.size(); ++rank)
            if (ports[rank] == 0)
                fault("rank ", rank, " cannot open a UDP socket for heartbeats: set run.stall_s to 0");
        run_ = world.all_gather(std::uint64_t{std::random_device()()} << 32 | std::random_device()())[0];
        find_watcher(rank_ == 0 ? 1 : 0, ports, world);
        if (rank_ == 0)
            for (int rank = 1; rank < world.size(); ++rank) watched_[rank] = {};
        if (rank_ == 1) watched_[0] = {};
        thread_ = std::thread([this] { watch(); });
    }
    ~Thread() {
        ends_ = true;
        thread_.join();
        socket_.send(beat_of_now(true), addresses_);
    }

   private:
    /// Collective. Uses all addresses of the machine, since some may be blocked: duplicate datagrams are harmless.
    void find_watcher(int watcher, const std::vector<std::uint64_t>& ports, const Communicator& world) {
        const auto hosts = world.all_gather(std::hash<std::string>()(host_name()));
        const auto add = [&](std::uint32_t address) {
            sockaddr_in to{};
            to.sin_family = AF_INET;
            to.sin_port = static_cast<std::uint16_t>(ports[watcher]);
            to.sin_addr.s_addr = address;
            addresses_.push_back(to);
        };
        if (hosts[watcher] == hosts[rank_]) add(htonl(INADDR_LOOPBACK));
        const Addresses own = own_addresses();
        for (const int of : {0, 1}) {
            Addresses addresses = own;
            world.broadcast(std::span<std::uint32_t>(addresses), of);
            for (const std::uint32_t address : addresses)
                if (of == watcher && address != 0) add(address);
        }
        if (addresses_.empty()) add(htonl(INADDR_LOOPBACK));  // no network interface is up
    }

    struct Watched {
        Beat last{};
        double heard_s = 0;       ///< time of the last datagram
        double progressed_s = 0;  ///< time of the last datagram with progress
        bool reported = false;    ///< its silence has been reported
        bool was_heard() const { return last.host[0] != '\0'; }
    };

    Beat beat_of_now(bool leaves) const {
        Beat beat{run_,
                  rank_,
                  step_.load(std::memory_order_relaxed),
                  profile_.entered(),
                  static_cast<std::int32_t>(profile_.now()),
                  leaves,
                  {}};
        const std::string host = host_name();
        std::copy(host.begin(), host.end(), beat.host.begin());
        return beat;
    }

    void watch() {
        const double interval_s = stall_s_ / beats;
        double next_s = 0;
        while (!ends_) {
            const double now_s = clock_.seconds();
            if (now_s > next_s + stall_s_ / 2) restart(now_s);  // this process itself was suspended
            if (now_s >= next_s) {
                socket_.send(beat_of_now(false), addresses_);
                note(beat_of_now(false), own_);
                check(now_s);
                next_s = now_s + interval_s;
            }
            constexpr double patience_s = 0.1;  // maximum delay until the end of the run is noticed
            Beat beat{};
            if (!socket_.receive(beat, std::min(patience_s, next_s - now_s)) || beat.run != run_) continue;
            const auto found = watched_.find(static_cast<int>(beat.rank));
            if (found == watched_.end()) continue;
            if (beat.leaves) watched_.erase(found);
            else note(beat, found->second);
        }
    }

    void restart(double now_s) {
        own_.progressed_s = now_s;
        for (auto& [rank, watched] : watched_) watched.heard_s = watched.progressed_s = now_s;
    }

    void note(const Beat& beat, Watched& watched) {
        const double now_s = clock_.seconds();
        if (watched.reported) say(text("rank ", beat.rank, " is back after ", fixed(now_s - watched.heard_s, 1), " s"));
        watched.reported = false;
        if (beat.entered != watched.last.entered || beat.step != watched.last.step) watched.progressed_s = now_s;
        watched.last = beat;
        watched.heard_s = now_s;
    }

    void check(double now_s) {
        bool one_silent = false, one_progresses = now_s - own_.progressed_s < stall_s_;
        for (auto& [rank, watched] : watched_) {
            one_progresses = one_progresses || now_s - watched.progressed_s < stall_s_;
            if (now_s - watched.heard_s < stall_s_) continue;
            const bool reported = std::exchange(watched.reported, true);
            if (!watched.was_heard()) {  // never heard, so silence means nothing
                if (!reported)
                    say(text("rank ", rank, " cannot be monitored: none of its datagrams has reached rank ", rank_,
                             "; check for a firewall between their hosts"));
                continue;
            }
            one_silent = true;
            if (reported) continue;
            stall(text("rank ", rank, place_of(watched), " has been silent for ", fixed(now_s - watched.heard_s, 1),
                       " s: the process is stopped, or its host or network is down"));
        }
        // Reports a global stall only on rank 0, which monitors all others.
        if (rank_ != 0 || one_silent || one_progresses) {
            stall_reported_ = stall_reported_ && !one_progresses;
            return;
        }
        if (!std::exchange(stall_reported_, true))
            stall(text("no rank has made progress for ", fixed(stall_s_, 1), " s: ", activities()));
    }

    static std::string place_of(const Watched& watched) {
        return text(" on ", watched.last.host.data(), ", in step ", watched.last.step, ", phase ",
                    name_of(static_cast<Phase>(watched.last.phase)), ",");
    }

    /// The activity of all ranks: "rank 0, 1, 3 in step 12, phase reduce; rank 2 ...".
    std::string activities() const {
        std::map<std::string, std::vector<std::string>> who;
        const auto add = [&](std::int64_t rank, const Beat& beat) {
            who[text("in step ", beat.step, ", phase ", name_of(static_cast<Phase>(beat.phase)))].push_back(
                text(rank, " on ", beat.host.data()));
        };
        add(rank_, own_.last);
        for (const auto& [rank, watched] : watched_)
            if (watched.was_heard()) add(rank, watched.last);
        std::vector<std::string> all;
        for (auto& [what, ranks] : who) {
            const std::size_t more = ranks.size() > most_named ? ranks.size() - most_named : 0;
            ranks.resize(ranks.size() - more);
            all.push_back(text("rank ", join(ranks), more > 0 ? text(" and ", more, " more") : "", " ", what));
        }
        return join(all, "; ");
    }

    void stall(const std::string& what) const {
        say(text(
            what,
            aborts_ ? ": the run is aborted, as configured by run.on_stall; --resume continues from its last checkpoint"
                    : ""));
        if (!aborts_) return;
        socket_.send(beat_of_now(true), addresses_);  // so that the abort is not reported as silence
        std::_Exit(exit_fault);                       // mpirun ends the others, also stopped ones
    }
    /// Written in one call, so that messages of other ranks do not interleave.
    static void say(const std::string& what) { std::cerr << "pruntrain: warning: " + what + "\n" << std::flush; }

    const double stall_s_;
    const bool aborts_;
    const Profile& profile_;
    const std::atomic<index_t>& step_;
    const int rank_;
    Socket socket_;
    std::uint64_t run_ = 0;
    std::vector<sockaddr_in> addresses_;  ///< of the rank that monitors this one
    const Timer clock_;
    std::map<int, Watched> watched_;  ///< by rank
    Watched own_;
    bool stall_reported_ = false;
    std::atomic<bool> ends_ = false;
    std::thread thread_;
};

Heartbeat::Heartbeat(double stall_s, bool aborts, const Profile& profile, const Communicator& world) {
    if (stall_s > 0 && world.size() > 1) thread_ = std::make_unique<Thread>(stall_s, aborts, profile, step_, world);
}

Heartbeat::~Heartbeat() = default;

}  // namespace pruntrain
