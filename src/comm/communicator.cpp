#include "pruntrain/comm/communicator.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <limits>

#include "communicator_handle.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

template <class T>
MPI_Datatype datatype();
template <>
MPI_Datatype datatype<float>() {
    return MPI_FLOAT;
}
template <>
MPI_Datatype datatype<double>() {
    return MPI_DOUBLE;
}
template <>
MPI_Datatype datatype<std::uint64_t>() {
    return MPI_UINT64_T;
}
template <>
MPI_Datatype datatype<Bfloat16>() {
    return MPI_UINT16_T;
}
template <>
MPI_Datatype datatype<index_t>() {
    return MPI_INT64_T;
}
template <>
MPI_Datatype datatype<std::int32_t>() {
    return MPI_INT32_T;
}

/// MPI counts are int: longer arrays are sent in chunks of this many elements.
constexpr std::size_t largest_count = std::size_t{1} << 30;

template <class T>
void sum_in_place(std::span<T> values, MPI_Comm comm) {
    for (std::size_t begin = 0; begin < values.size(); begin += largest_count) {
        const auto piece = values.subspan(begin, std::min(largest_count, values.size() - begin));
        check(MPI_Allreduce(MPI_IN_PLACE, piece.data(), static_cast<int>(piece.size()), datatype<T>(), MPI_SUM, comm),
              "MPI_Allreduce");
    }
}

template <class T>
T largest_of(T value, MPI_Comm comm) {
    T result{};
    check(MPI_Allreduce(&value, &result, 1, datatype<T>(), MPI_MAX, comm), "MPI_Allreduce");
    return result;
}

}  // namespace

MpiSession::MpiSession(int& argc, char**& argv) {
#if defined(OMPI_MAJOR_VERSION) && OMPI_MAJOR_VERSION == 4
    // For RemoteWindow: osc/rdma rejects windows over TCP and where a process may not read another's memory, as in many
    // containers. The alternatives (ucx, else pt2pt) work everywhere. A value set by the user is kept.
    setenv("OMPI_MCA_osc", "^rdma", 0);
#endif
    int provided = 0;
    if (MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) fault("MPI cannot start");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);  // so that `check` can report which call failed
}

MpiSession::~MpiSession() { MPI_Finalize(); }

void MpiSession::abort(int exit_status) {
    MPI_Abort(MPI_COMM_WORLD, exit_status);
    std::_Exit(exit_status);
}

namespace {

/// Sizes and offsets of blocks in MPI's types.
struct Blocks {
    std::vector<int> sizes, offsets;
    int total = 0;

    template <class Sizes>
    explicit Blocks(const Sizes& all) {
        std::size_t sum = 0;
        for (const auto size : all) {
            sizes.push_back(static_cast<int>(size));
            offsets.push_back(static_cast<int>(sum));
            sum += static_cast<std::size_t>(size);
            if (sum > std::numeric_limits<int>::max())
                fault("the blocks have ", sum, " values in total, but a message takes at most ",
                      std::numeric_limits<int>::max());
        }
        total = static_cast<int>(sum);
    }
};

}  // namespace

struct Pending::State {
    MPI_Request request = MPI_REQUEST_NULL;
    std::vector<Blocks> blocks = {};  // MPI reads them until the request completes
};

Pending::Pending() = default;
Pending::Pending(Pending&&) noexcept = default;
Pending& Pending::operator=(Pending&&) noexcept = default;

Pending::~Pending() {
    // During stack unwinding the other ranks may never arrive: main then aborts the job, and waiting would block that.
    if (state_ && std::uncaught_exceptions() == 0) MPI_Wait(&state_->request, MPI_STATUS_IGNORE);
}

bool Pending::done() {
    if (!state_) return true;
    int finished = 0;
    check(MPI_Test(&state_->request, &finished, MPI_STATUS_IGNORE), "MPI_Test");
    return finished != 0;
}

void Pending::wait() {
    if (state_) check(MPI_Wait(&state_->request, MPI_STATUS_IGNORE), "MPI_Wait");
    state_.reset();
}

Communicator::Communicator(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {}

Communicator Communicator::world() { return Communicator(std::make_shared<Handle>(MPI_COMM_WORLD, false)); }

int Communicator::rank() const { return handle_->rank; }
int Communicator::size() const { return handle_->size; }

Communicator Communicator::split(int color) const {
    MPI_Comm part = MPI_COMM_NULL;
    check(MPI_Comm_split(handle_->comm, color, rank(), &part), "MPI_Comm_split");
    return Communicator(std::make_shared<Handle>(part, true));
}

Communicator Communicator::node() const {
    MPI_Comm part = MPI_COMM_NULL;
    check(MPI_Comm_split_type(handle_->comm, MPI_COMM_TYPE_SHARED, rank(), MPI_INFO_NULL, &part),
          "MPI_Comm_split_type");
    return Communicator(std::make_shared<Handle>(part, true));
}

void Communicator::all_reduce_sum(std::span<float> values) const { sum_in_place(values, handle_->comm); }
void Communicator::all_reduce_sum(std::span<double> values) const { sum_in_place(values, handle_->comm); }
void Communicator::all_reduce_sum(std::span<std::uint64_t> values) const { sum_in_place(values, handle_->comm); }

namespace {

template <class T>
MPI_Request begin_sum(std::span<T> values, MPI_Comm comm) {
    if (values.size() > largest_count)
        fault("a nonblocking sum of ", values.size(), " values: at most ", largest_count);
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Iallreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), datatype<T>(), MPI_SUM, comm,
                         &request),
          "MPI_Iallreduce");
    return request;
}

}  // namespace

Pending Communicator::start_all_reduce_sum(std::span<float> values) const {
    Pending pending;
    pending.state_ = std::make_unique<Pending::State>(Pending::State{begin_sum(values, handle_->comm)});
    return pending;
}

Pending Communicator::start_all_reduce_sum(std::span<double> values) const {
    Pending pending;
    pending.state_ = std::make_unique<Pending::State>(Pending::State{begin_sum(values, handle_->comm)});
    return pending;
}

template <class T>
Pending Communicator::start_all_gather(std::span<const T> own, std::span<T> all) const {
    Pending pending;
    pending.state_ = std::make_unique<Pending::State>();
    check(MPI_Iallgather(own.data(), static_cast<int>(own.size()), datatype<T>(), all.data(),
                         static_cast<int>(own.size()), datatype<T>(), handle_->comm, &pending.state_->request),
          "MPI_Iallgather");
    return pending;
}

template Pending Communicator::start_all_gather(std::span<const double>, std::span<double>) const;
template Pending Communicator::start_all_gather(std::span<const std::uint64_t>, std::span<std::uint64_t>) const;

void Communicator::all_gather_v(std::span<const real> own, std::span<real> all,
                                std::span<const std::size_t> sizes) const {
    const Blocks blocks(sizes);
    const bool in_place = own.data() == all.data() + blocks.offsets[rank()];
    check(MPI_Allgatherv(in_place ? MPI_IN_PLACE : own.data(), static_cast<int>(own.size()), datatype<real>(),
                         all.data(), blocks.sizes.data(), blocks.offsets.data(), datatype<real>(), handle_->comm),
          "MPI_Allgatherv");
}

template <class T>
Pending Communicator::start_all_to_all_v(std::span<const T> to_each, std::span<const std::size_t> to_sizes,
                                         std::span<T> from_each, std::span<const std::size_t> from_sizes) const {
    Pending pending;
    pending.state_ = std::make_unique<Pending::State>();
    auto& blocks = pending.state_->blocks;
    blocks = {Blocks(to_sizes), Blocks(from_sizes)};
    check(MPI_Ialltoallv(to_each.data(), blocks[0].sizes.data(), blocks[0].offsets.data(), datatype<T>(),
                         from_each.data(), blocks[1].sizes.data(), blocks[1].offsets.data(), datatype<T>(),
                         handle_->comm, &pending.state_->request),
          "MPI_Ialltoallv");
    return pending;
}

template Pending Communicator::start_all_to_all_v(std::span<const real>, std::span<const std::size_t>, std::span<real>,
                                                  std::span<const std::size_t>) const;
template Pending Communicator::start_all_to_all_v(std::span<const Bfloat16>, std::span<const std::size_t>,
                                                  std::span<Bfloat16>, std::span<const std::size_t>) const;

template <class T>
Pending Communicator::start_all_gather_v(std::span<const T> own, std::span<T> all,
                                         std::span<const std::size_t> sizes) const {
    Pending pending;
    pending.state_ = std::make_unique<Pending::State>();
    auto& blocks = pending.state_->blocks;
    blocks = {Blocks(sizes)};
    check(MPI_Iallgatherv(own.data(), static_cast<int>(own.size()), datatype<T>(), all.data(), blocks[0].sizes.data(),
                          blocks[0].offsets.data(), datatype<T>(), handle_->comm, &pending.state_->request),
          "MPI_Iallgatherv");
    return pending;
}

template Pending Communicator::start_all_gather_v(std::span<const real>, std::span<real>,
                                                  std::span<const std::size_t>) const;
template Pending Communicator::start_all_gather_v(std::span<const Bfloat16>, std::span<Bfloat16>,
                                                  std::span<const std::size_t>) const;

template <class T>
void Communicator::all_to_all_v(std::span<const T> to_each, std::span<const std::size_t> to_sizes,
                                std::span<T> from_each, std::span<const std::size_t> from_sizes) const {
    const Blocks to(to_sizes), from(from_sizes);
    check(MPI_Alltoallv(to_each.data(), to.sizes.data(), to.offsets.data(), datatype<T>(), from_each.data(),
                        from.sizes.data(), from.offsets.data(), datatype<T>(), handle_->comm),
          "MPI_Alltoallv");
}

template void Communicator::all_to_all_v(std::span<const real>, std::span<const std::size_t>, std::span<real>,
                                         std::span<const std::size_t>) const;
template void Communicator::all_to_all_v(std::span<const std::int32_t>, std::span<const std::size_t>,
                                         std::span<std::int32_t>, std::span<const std::size_t>) const;
template void Communicator::all_to_all_v(std::span<const index_t>, std::span<const std::size_t>, std::span<index_t>,
                                         std::span<const std::size_t>) const;

void Communicator::reduce_scatter(std::span<const real> all, std::span<real> own,
                                  std::span<const std::size_t> sizes) const {
    check(MPI_Reduce_scatter(all.data(), own.data(), Blocks(sizes).sizes.data(), datatype<real>(), MPI_SUM,
                             handle_->comm),
          "MPI_Reduce_scatter");
}

template <class T>
std::vector<T> Communicator::gather_v(std::span<const T> own) const {
    const Blocks blocks(all_gather(own.size()));
    std::vector<T> all(is_root() ? blocks.total : 0);
    check(MPI_Gatherv(own.data(), static_cast<int>(own.size()), datatype<T>(), all.data(), blocks.sizes.data(),
                      blocks.offsets.data(), datatype<T>(), 0, handle_->comm),
          "MPI_Gatherv");
    return all;
}

template std::vector<real> Communicator::gather_v(std::span<const real>) const;
template std::vector<std::int32_t> Communicator::gather_v(std::span<const std::int32_t>) const;
template std::vector<index_t> Communicator::gather_v(std::span<const index_t>) const;

index_t Communicator::all_reduce_max(index_t value) const { return largest_of(value, handle_->comm); }
double Communicator::all_reduce_max(double value) const { return largest_of(value, handle_->comm); }

void Communicator::broadcast_bytes(std::span<std::byte> bytes, int root) const {
    for (std::size_t begin = 0; begin < bytes.size(); begin += largest_count) {
        const auto piece = bytes.subspan(begin, std::min(largest_count, bytes.size() - begin));
        check(MPI_Bcast(piece.data(), static_cast<int>(piece.size()), MPI_BYTE, root, handle_->comm), "MPI_Bcast");
    }
}

void Communicator::broadcast_text(std::string& value, int root) const {
    std::uint64_t size = value.size();
    broadcast(std::span(&size, 1), root);
    value.resize(size);
    broadcast(std::span(value), root);
}

std::vector<std::uint64_t> Communicator::all_gather(std::uint64_t value) const {
    std::vector<std::uint64_t> all(size());
    check(MPI_Allgather(&value, 1, MPI_UINT64_T, all.data(), 1, MPI_UINT64_T, handle_->comm), "MPI_Allgather");
    return all;
}

void Communicator::barrier() const { check(MPI_Barrier(handle_->comm), "MPI_Barrier"); }

Pending Communicator::start_barrier() const {
    Pending pending;
    pending.state_ = std::make_unique<Pending::State>();
    check(MPI_Ibarrier(handle_->comm, &pending.state_->request), "MPI_Ibarrier");
    return pending;
}

void Communicator::make_progress() const {
    int found = 0;
    check(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, handle_->comm, &found, MPI_STATUS_IGNORE), "MPI_Iprobe");
}

void Communicator::rethrow_collectively(const std::function<void()>& work) const {
    enum Outcome : std::uint64_t { fine = 0, wrong_input = 1, failed = 2 };
    Outcome outcome = fine;
    std::string message;
    try {
        work();
    } catch (const InputError& error) {
        outcome = wrong_input;
        message = error.what();
    } catch (const std::exception& error) {
        outcome = failed;
        message = text("rank ", rank(), ": ", message_of(error));
    }
    const auto outcomes = all_gather(outcome);
    const auto first = std::find_if(outcomes.begin(), outcomes.end(), [](std::uint64_t o) { return o != fine; });
    if (first == outcomes.end()) return;
    broadcast_text(message, static_cast<int>(first - outcomes.begin()));
    if (*first == wrong_input) throw InputError(message);
    throw SharedFault(message);
}

struct SharedWindow::State : OpenWindow {
    Communicator node;
    std::vector<std::span<std::byte>> parts;  ///< of the ranks that own a part

    explicit State(const Communicator& ranks) : node(ranks) {}
};

namespace {

/// MPI reserves shared memory without a check of its file system: a write beyond its end would be a SIGBUS.
void check_shared_memory(double bytes) {
    const char* const chosen = std::getenv("OMPI_MCA_osc_sm_backing_store");
    const std::string folder = chosen == nullptr ? "/dev/shm" : chosen;
    struct statvfs status {};
    if (::statvfs(folder.c_str(), &status) != 0) return;  // MPI uses another place
    const double free = static_cast<double>(status.f_bavail) * static_cast<double>(status.f_frsize);
    if (bytes > free)
        input_error(
            "the ranks of a node need ", bytes_text(bytes), " of shared memory at once, but ", folder, " has ",
            bytes_text(free),
            " left: enlarge it (mount -o remount,size=..., docker run --shm-size), set "
            "OMPI_MCA_osc_sm_backing_store to a folder on a local disk, or choose data.residency shard or disk");
}

}  // namespace

SharedWindow::SharedWindow(const Communicator& node, std::size_t bytes) : SharedWindow(node, bytes, 1) {}

SharedWindow SharedWindow::with_parts(const Communicator& node, std::size_t bytes) {
    return {node, bytes, node.size()};
}

SharedWindow::SharedWindow(const Communicator& node, std::size_t bytes, int owners)
    : state_(std::make_shared<State>(node)) {
    node.rethrow_collectively([&] {
        if (node.size() > 1 && node.is_root()) check_shared_memory(static_cast<double>(bytes) * owners);
    });
    MPI_Info info = MPI_INFO_NULL;
    check(MPI_Info_create(&info), "MPI_Info_create");
    check(MPI_Info_set(info, "alloc_shared_noncontig", "true"), "MPI_Info_set");  // parts begin on separate pages
    void* own = nullptr;
    const int status = MPI_Win_allocate_shared(static_cast<MPI_Aint>(node.rank() < owners ? bytes : 0), 1, info,
                                               node.handle_->comm, &own, &state_->window);
    MPI_Info_free(&info);
    check(status, "MPI_Win_allocate_shared");
    check(MPI_Win_lock_all(MPI_MODE_NOCHECK, state_->window), "MPI_Win_lock_all");
    for (int rank = 0; rank < owners; ++rank) {
        MPI_Aint size = 0;
        int unit = 0;
        void* part = nullptr;
        check(MPI_Win_shared_query(state_->window, rank, &size, &unit, &part), "MPI_Win_shared_query");
        state_->parts.emplace_back(static_cast<std::byte*>(part), bytes);
    }
}

std::span<std::byte> SharedWindow::part(int rank) const {
    return state_ ? state_->parts.at(static_cast<std::size_t>(rank)) : std::span<std::byte>{};
}

void SharedWindow::publish() const {
    if (!state_) return;
    check(MPI_Win_sync(state_->window), "MPI_Win_sync");
    state_->node.barrier();
    check(MPI_Win_sync(state_->window), "MPI_Win_sync");
}

}  // namespace pruntrain
