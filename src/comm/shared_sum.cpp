#include "pruntrain/comm/shared_sum.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

namespace {

constexpr std::size_t line_bytes = 64;
constexpr index_t line_values = line_bytes / sizeof(real);

using Shared = std::atomic_ref<std::uint64_t>;
static_assert(Shared::is_always_lock_free, "counters are shared by processes, a lock would not be");

Communicator node_or_self(const Communicator& ranks, const Communicator& node) {
    const index_t size = node.size();
    const bool equal = ranks.largest(size) == -ranks.largest(-size);
    return equal ? node : ranks.split(ranks.rank());
}

PRUNTRAIN_VECTORIZED
void add(real* __restrict sum, const real* __restrict other, index_t count) {
    for (index_t i = 0; i < count; ++i) sum[i] += other[i];
}

/// Both get the sum.
PRUNTRAIN_VECTORIZED
void add_to_both(real* __restrict one, real* __restrict other, index_t count) {
    for (index_t i = 0; i < count; ++i) one[i] = other[i] = one[i] + other[i];
}

real widened(Bfloat16 value) { return static_cast<real>(static_cast<float>(value)); }

/// rounded = values + lost, and lost = what that takes away.
void round_with_feedback(std::span<const real> values, std::span<real> lost, std::span<Bfloat16> rounded) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        const real wanted = values[i] + lost[i];
        rounded[i] = Bfloat16(static_cast<float>(wanted));
        lost[i] = wanted - widened(rounded[i]);
    }
}

}  // namespace

SharedSum::SharedSum(const Communicator& ranks, const Communicator& node, Message message)
    : message_(message),
      ranks_(ranks),
      node_(node_or_self(ranks, node)),
      across_(ranks.split(node_.rank())),
      back_(across_.split(0)) {}

std::span<real> SharedSum::allocate(index_t size) {
    if (!ranges_.empty()) fault("memory for a sum is exchanged while the sum is under way");
    const std::size_t used = 2 * line_bytes + static_cast<std::size_t>(size) * sizeof(real);
    window_ = {};  // first, so that there is never twice the memory
    window_ = SharedWindow::with_parts(node_, used + line_bytes);
    counters_.clear();
    arrays_.clear();
    for (int rank = 0; rank < node_.size(); ++rank) {
        std::size_t space = window_.part(rank).size();
        void* part = window_.part(rank).data();
        std::align(line_bytes, used, part, space);
        const auto at = static_cast<std::byte*>(part);
        counters_.push_back({reinterpret_cast<std::uint64_t*>(at), reinterpret_cast<std::uint64_t*>(at + line_bytes)});
        arrays_.push_back(reinterpret_cast<real*>(at + 2 * line_bytes));
    }
    const auto own = static_cast<std::size_t>(node_.rank());
    *counters_[own].started = *counters_[own].finished = before_ = 0;
    window_.publish();
    values_ = {arrays_[own], static_cast<std::size_t>(size)};
    return values_;
}

void SharedSum::start(index_t begin, index_t end) {
    if (begin < 0 || begin > end || end > static_cast<index_t>(values_.size()))
        fault("a sum of [", begin, ", ", end, ") of ", values_.size(), " values");
    ranges_.push_back({begin, end});
    Shared(*counters_[static_cast<std::size_t>(node_.rank())].started)
        .store(before_ + ranges_.size(), std::memory_order_release);
}

bool SharedSum::progress() {
    if (crossings_.size() < ranges_.size()) crossings_.resize(ranges_.size());
    while (on_the_way_ < ranges_.size() && all_reached(&Counters::started, before_ + on_the_way_ + 1)) {
        const Range slice = own_slice(ranges_[on_the_way_]);
        sum_on_node(slice);
        if (across_.size() > 1 && slice.begin < slice.end) cross(slice, crossings_[on_the_way_]);
        ++on_the_way_;
    }
    while (finished_ < on_the_way_ && crossed(own_slice(ranges_[finished_]), crossings_[finished_])) {
        ++finished_;
        Shared(*counters_[static_cast<std::size_t>(node_.rank())].finished)
            .store(before_ + finished_, std::memory_order_release);
    }
    return finished_ == ranges_.size() && all_reached(&Counters::finished, before_ + finished_);
}

void SharedSum::finish() {
    constexpr std::uint64_t polls_alone =
        1000;  // some microseconds, a usual difference of ranks that have cores of their own
    constexpr std::uint64_t polls_for_mpi = 16;  // asking MPI takes several times as long as a poll
    for (std::uint64_t poll = 0; !progress(); ++poll) {
        if (poll < polls_alone) continue;
        std::this_thread::yield();  // to the rank that is waited for, where ranks share a core
        if (poll % polls_for_mpi == 0) ranks_.make_progress();
    }
    before_ += ranges_.size();
    for (std::size_t i = 0; i < ranges_.size(); ++i) crossings_[i].pending = {};
    ranges_.clear();
    on_the_way_ = finished_ = 0;
}

void SharedSum::cross(const Range& slice, Crossing& crossing) {
    const std::span values(arrays_[0] + slice.begin, static_cast<std::size_t>(slice.end - slice.begin));
    if (message_ == Message::exact) {
        crossing.pending = across_.start_sum(values);
        return;
    }
    const auto nodes = static_cast<std::size_t>(across_.size());
    const std::size_t piece = (values.size() + nodes - 1) / nodes;
    if (crossing.lost.size() != values.size()) {
        crossing.lost.assign(values.size(), real{0});
        crossing.lost_total.assign(piece, real{0});
        crossing.sent.assign(piece * nodes, Bfloat16());
        crossing.received = crossing.sent;
    }
    round_with_feedback(values, crossing.lost, crossing.sent);
    crossing.pending = across_.start_exchange(crossing.sent, crossing.received);
    crossing.gathering = false;
}

bool SharedSum::crossed(const Range& slice, Crossing& crossing) {
    if (!crossing.pending.done()) return false;
    if (across_.size() == 1 || slice.begin == slice.end) return true;
    if (message_ == Message::bf16 && !crossing.gathering) {
        std::vector<real> total(crossing.lost_total.size(), real{0});
        for (std::size_t i = 0; i < crossing.received.size(); ++i)
            total[i % total.size()] += widened(crossing.received[i]);
        const auto own = std::span(crossing.sent).first(total.size());
        round_with_feedback(total, crossing.lost_total, own);
        crossing.pending = back_.start_gather_to_all(own, crossing.received);
        crossing.gathering = true;
        return false;
    }
    if (message_ == Message::bf16)
        std::transform(crossing.received.begin(), crossing.received.begin() + (slice.end - slice.begin),
                       arrays_[0] + slice.begin, widened);
    spread(slice, arrays_.size());
    return true;
}

SharedSum::Range SharedSum::own_slice(const Range& range) const {
    const index_t first = range.begin / line_values;
    const index_t lines = (range.end + line_values - 1) / line_values - first;
    const auto cut = [&](index_t rank) {
        return std::clamp((first + lines * rank / node_.size()) * line_values, range.begin, range.end);
    };
    return {cut(node_.rank()), cut(node_.rank() + 1)};
}

/// In blocks that stay in the nearest cache from the first addition to the last store; for two ranks a single pass.
void SharedSum::sum_on_node(const Range& slice) {
    constexpr index_t block_values = 4096 / sizeof(real);
    const std::size_t last = arrays_.size() - 1;
    if (last == 0) return;
    for (index_t begin = slice.begin; begin < slice.end; begin += block_values) {
        const Range block{begin, std::min(begin + block_values, slice.end)};
        const index_t count = block.end - begin;
        for (std::size_t rank = 1; rank < last; ++rank) add(arrays_[0] + begin, arrays_[rank] + begin, count);
        add_to_both(arrays_[0] + begin, arrays_[last] + begin, count);
        if (across_.size() == 1) spread(block, last);
    }
}

void SharedSum::spread(const Range& range, std::size_t end) {
    for (std::size_t rank = 1; rank < end; ++rank)
        std::copy(arrays_[0] + range.begin, arrays_[0] + range.end, arrays_[rank] + range.begin);
}

bool SharedSum::all_reached(std::uint64_t* Counters::*counter, std::uint64_t number) const {
    return std::all_of(counters_.begin(), counters_.end(), [&](const Counters& counters) {
        return Shared(*(counters.*counter)).load(std::memory_order_acquire) >= number;
    });
}

}  // namespace pruntrain
