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

constexpr int beats = 5;  // in the time that counts as a stall: a lost datagram is none
constexpr int exit_fault = 1;
constexpr std::size_t most_named = 8;

/// What a rank says. Between machines of one kind: no byte order.
struct Beat {
    std::uint64_t run;  ///< a random number: datagrams of others are not meant
    std::int64_t rank, step;
    std::uint64_t entered;  ///< phases so far
    std::int32_t phase;
    std::int32_t leaves;  ///< it ends as it should
    std::array<char, 64> host;
};

/// A socket for datagrams that is closed with it.
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

    /// In the byte order of the network. 0: it has none, so nothing is received.
    std::uint16_t port() const { return port_; }
    void send(const Beat& beat, const std::vector<sockaddr_in>& ways) const {
        for (const auto& to : ways)
            ::sendto(number_, &beat, sizeof beat, MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    /// @return one came within this time
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

/// By which other machines may reach this one; 0: no more. In the byte order of the network. Not what its name stands
/// for, which on many a machine is 127.0.1.1.
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
                fault("rank ", rank, " cannot open a UDP socket, by which ranks are watched: set run.stall_s to 0");
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
        socket_.send(beat_of_now(true), ways_);
    }

   private:
    /// Collective. All ways to its machine are taken, since one may be closed: a beat that comes twice is one.
    void find_watcher(int watcher, const std::vector<std::uint64_t>& ports, const Communicator& world) {
        const auto hosts = world.all_gather(std::hash<std::string>()(host_name()));
        const auto add = [&](std::uint32_t address) {
            sockaddr_in way{};
            way.sin_family = AF_INET;
            way.sin_port = static_cast<std::uint16_t>(ports[watcher]);
            way.sin_addr.s_addr = address;
            ways_.push_back(way);
        };
        if (hosts[watcher] == hosts[rank_]) add(htonl(INADDR_LOOPBACK));
        const Addresses own = own_addresses();
        for (const int of : {0, 1}) {
            Addresses addresses = own;
            world.broadcast(std::span<std::uint32_t>(addresses), of);
            for (const std::uint32_t address : addresses)
                if (of == watcher && address != 0) add(address);
        }
        if (ways_.empty()) add(htonl(INADDR_LOOPBACK));  // a machine without network: its name says nothing
    }

    struct Watched {
        Beat last{};
        double heard_s = 0;    ///< when
        double went_on_s = 0;  ///< when it had entered a phase since the beat before
        bool told = false;     ///< that it is silent
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
            if (now_s > next_s + stall_s_ / 2) begin_anew(now_s);  // it was this process that stood still
            if (now_s >= next_s) {
                socket_.send(beat_of_now(false), ways_);
                note(beat_of_now(false), own_);
                check(now_s);
                next_s = now_s + interval_s;
            }
            constexpr double patience_s = 0.1;  // until it looks whether the run has ended
            Beat beat{};
            if (!socket_.receive(beat, std::min(patience_s, next_s - now_s)) || beat.run != run_) continue;
            const auto found = watched_.find(static_cast<int>(beat.rank));
            if (found == watched_.end()) continue;
            if (beat.leaves) watched_.erase(found);
            else note(beat, found->second);
        }
    }

    void begin_anew(double now_s) {
        own_.went_on_s = now_s;
        for (auto& [rank, watched] : watched_) watched.heard_s = watched.went_on_s = now_s;
    }

    void note(const Beat& beat, Watched& watched) {
        const double now_s = clock_.seconds();
        if (watched.told) say(text("rank ", beat.rank, " is back after ", fixed(now_s - watched.heard_s, 1), " s"));
        watched.told = false;
        if (beat.entered != watched.last.entered || beat.step != watched.last.step) watched.went_on_s = now_s;
        watched.last = beat;
        watched.heard_s = now_s;
    }

    void check(double now_s) {
        bool one_silent = false, one_goes_on = now_s - own_.went_on_s < stall_s_;
        for (auto& [rank, watched] : watched_) {
            one_goes_on = one_goes_on || now_s - watched.went_on_s < stall_s_;
            if (now_s - watched.heard_s < stall_s_) continue;
            const bool told = std::exchange(watched.told, true);
            if (!watched.was_heard()) {  // so its silence says nothing
                if (!told)
                    say(text("rank ", rank, " cannot be watched: no datagram of it has come to rank ", rank_,
                             "; a firewall between their machines?"));
                continue;
            }
            one_silent = true;
            if (told) continue;
            stall(text("rank ", rank, place_of(watched), " has been silent for ", fixed(now_s - watched.heard_s, 1),
                       " s: it is stopped, or its machine or the network is gone"));
        }
        // Of this rank's part only where it is the one that watches all.
        if (rank_ != 0 || one_silent || one_goes_on) {
            stuck_told_ = stuck_told_ && !one_goes_on;
            return;
        }
        if (!std::exchange(stuck_told_, true))
            stall(text("no rank has gone on for ", fixed(stall_s_, 1), " s: ", doings()));
    }

    static std::string place_of(const Watched& watched) {
        return text(" on ", watched.last.host.data(), ", in step ", watched.last.step, ", phase ",
                    name_of(static_cast<Phase>(watched.last.phase)), ",");
    }

    /// What all are doing: "ranks 0, 1, 3 in step 12, phase reduce; ranks 2 (host) ...".
    std::string doings() const {
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
        say(text(what,
                 aborts_ ? ": the run is ended, as run.on_stall says; --resume goes on from its last checkpoint" : ""));
        if (!aborts_) return;
        socket_.send(beat_of_now(true), ways_);  // its own silence is not to be told
        std::_Exit(exit_fault);                  // mpirun ends the others, also those that are stopped
    }
    /// In one write, so that nothing that others say comes between.
    static void say(const std::string& what) { std::cerr << "pruntrain: warning: " + what + "\n" << std::flush; }

    const double stall_s_;
    const bool aborts_;
    const Profile& profile_;
    const std::atomic<index_t>& step_;
    const int rank_;
    Socket socket_;
    std::uint64_t run_ = 0;
    std::vector<sockaddr_in> ways_;  ///< to the rank that watches this one
    const Timer clock_;
    std::map<int, Watched> watched_;  ///< by their rank
    Watched own_;
    bool stuck_told_ = false;
    std::atomic<bool> ends_ = false;
    std::thread thread_;
};

Heartbeat::Heartbeat(double stall_s, bool aborts, const Profile& profile, const Communicator& world) {
    if (stall_s > 0 && world.size() > 1) thread_ = std::make_unique<Thread>(stall_s, aborts, profile, step_, world);
}

Heartbeat::~Heartbeat() = default;

}  // namespace pruntrain
