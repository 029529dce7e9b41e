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
static_assert(Shared::is_always_lock_free, "processes share the counters but would not share a lock");

Communicator node_or_self(const Communicator& ranks, const Communicator& node) {
    const index_t size = node.size();
    const bool equal = ranks.all_reduce_max(size) == -ranks.all_reduce_max(-size);
    return equal ? node : ranks.split(ranks.rank());
}

PRUNTRAIN_VECTORIZED
void add(real* __restrict sum, const real* __restrict other, index_t count) {
    for (index_t i = 0; i < count; ++i) sum[i] += other[i];
}

/// Both arrays get the sum.
PRUNTRAIN_VECTORIZED
void add_to_both(real* __restrict one, real* __restrict other, index_t count) {
    for (index_t i = 0; i < count; ++i) one[i] = other[i] = one[i] + other[i];
}

real widened(Bfloat16 value) { return static_cast<real>(static_cast<float>(value)); }

/// rounded = bf16(values + residual), and residual = values + residual - rounded (error feedback).
void round_with_feedback(std::span<const real> values, std::span<real> residual, std::span<Bfloat16> rounded) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        const real wanted = values[i] + residual[i];
        rounded[i] = Bfloat16(static_cast<float>(wanted));
        residual[i] = wanted - widened(rounded[i]);
    }
}

/// The terms of all ranks, in rank order.
struct AllTerms {
    std::vector<TreeNode> nodes;
    std::vector<std::size_t> counts;  ///< per rank
};

AllTerms gather_terms(const Communicator& ranks, const std::vector<TreeNode>& own) {
    AllTerms all;
    const std::size_t most = ranks.all_reduce_max(static_cast<index_t>(own.size()));
    std::vector<std::uint64_t> sent(2 * most, 0), received(sent.size() * static_cast<std::size_t>(ranks.size()));
    for (std::size_t i = 0; i < own.size(); ++i) {
        sent[2 * i] = static_cast<std::uint64_t>(own[i].first);
        sent[2 * i + 1] = static_cast<std::uint64_t>(own[i].size);
    }
    ranks.start_all_gather(std::span<const std::uint64_t>(sent), std::span(received)).wait();
    for (std::size_t begin = 0; begin < received.size(); begin += sent.size()) {
        all.counts.push_back(0);
        for (std::size_t i = begin; i < begin + sent.size() && received[i + 1] > 0; i += 2) {
            all.nodes.push_back({static_cast<index_t>(received[i]), static_cast<index_t>(received[i + 1])});
            ++all.counts.back();
        }
    }
    return all;
}

}  // namespace

SharedSum::SharedSum(const Communicator& ranks, const Communicator& node, Message message)
    : SharedSum(ranks, node, message, false, {}) {}

SharedSum::SharedSum(const Communicator& ranks, const Communicator& node, const SliceTerms& terms)
    : SharedSum(ranks, node, Message::exact, true, terms) {}

SharedSum::SharedSum(const Communicator& ranks, const Communicator& node, Message message, bool tree, SliceTerms terms)
    : message_(message),
      tree_(tree),
      ranks_(ranks),
      node_(node_or_self(ranks, node)),
      across_(ranks.split(node_.rank())),
      back_(across_.split(0)) {
    if (!tree) terms = {node_.size(), {{node_.rank(), 1}}};  // the ranks of a node are its slices
    const AllTerms here = gather_terms(node_, terms.nodes);
    own_terms_ = terms.nodes.size();
    most_terms_ = std::ranges::max(here.counts);
    for (std::size_t rank = 0; rank < here.counts.size(); ++rank)
        for (std::size_t term = 0; term < here.counts[rank]; ++term) term_at_.push_back(rank * most_terms_ + term);
    on_node_ = reduce_terms(here.nodes, terms.slices);
    const bool follows = ranks.rank() == across_.rank() * node_.size() + node_.rank();
    in_order_ = ranks.all_reduce_max(index_t{follows ? 0 : 1}) == 0;
    if (across_.size() == 1) return;
    if (!tree) terms = {across_.size(), {{across_.rank(), 1}}};  // and the nodes are the slices
    const AllTerms left = gather_terms(across_, tree ? on_node_.nodes : terms.nodes);
    crossing_terms_ = std::ranges::max(left.counts);
    over_nodes_ = reduce_terms(left.nodes, terms.slices);
    // Maps indices in that list to positions among the received pieces.
    std::vector<std::size_t> place;
    for (std::size_t from = 0; from < left.counts.size(); ++from)
        for (std::size_t term = 0; term < left.counts[from]; ++term) place.push_back(from * crossing_terms_ + term);
    for (auto& [into, from] : over_nodes_.additions) into = place[into], from = place[from];
    for (auto& term : over_nodes_.left) term = place[term];
}

std::span<real> SharedSum::allocate(index_t size) {
    if (!ranges_.empty()) fault("the memory of a sum is replaced while the sum is in progress");
    // Arrays begin on cache lines.
    const std::size_t array =
        (static_cast<std::size_t>(size) * sizeof(real) + line_bytes - 1) / line_bytes * line_bytes;
    const std::size_t used = 2 * line_bytes + most_terms_ * array;
    window_ = {};  // freed first, so that the memory is never allocated twice
    window_ = SharedWindow::with_parts(node_, used + line_bytes);
    counters_.clear();
    arrays_.clear();
    for (int rank = 0; rank < node_.size(); ++rank) {
        std::size_t space = window_.part(rank).size();
        void* part = window_.part(rank).data();
        std::align(line_bytes, used, part, space);
        const auto at = static_cast<std::byte*>(part);
        counters_.push_back({reinterpret_cast<std::uint64_t*>(at), reinterpret_cast<std::uint64_t*>(at + line_bytes)});
        for (std::size_t term = 0; term < most_terms_; ++term)
            arrays_.push_back(reinterpret_cast<real*>(at + 2 * line_bytes + term * array));
    }
    const std::size_t own = node_.rank();
    *counters_[own].started = *counters_[own].finished = before_ = 0;
    window_.publish();
    values_ = {arrays_[own * most_terms_], static_cast<std::size_t>(size)};
    return values_;
}

void SharedSum::share_out(std::vector<index_t> firsts) {
    if (!ranges_.empty()) fault("the ranges of sums change while a sum is in progress");
    if (!in_order_) firsts.clear();  // a node would have many pieces
    if (firsts == firsts_) return;
    reset_residual();
    firsts_ = std::move(firsts);
}

std::span<real> SharedSum::term(std::size_t number) const {
    if (number >= own_terms_) fault("there is no term ", number, " of a sum: this rank has ", own_terms_);
    return {arrays_[static_cast<std::size_t>(node_.rank()) * most_terms_ + number], values_.size()};
}

void SharedSum::start(index_t begin, index_t end) {
    if (begin < 0 || begin > end || end > static_cast<index_t>(values_.size()))
        fault("a sum of [", begin, ", ", end, ") of ", values_.size(), " values");
    ranges_.push_back({begin, end});
    Shared(*counters_[node_.rank()].started).store(before_ + ranges_.size(), std::memory_order_release);
}

bool SharedSum::progress() {
    if (crossings_.size() < ranges_.size()) crossings_.resize(ranges_.size());
    while (on_node_count_ < ranges_.size() && all_reached(&Counters::started, before_ + on_node_count_ + 1)) {
        const Range share = own_share(ranges_[on_node_count_]);
        sum_on_node(share);
        if (across_.size() > 1 && share.begin < share.end) cross(share, crossings_[on_node_count_]);
        ++on_node_count_;
    }
    while (finished_ < on_node_count_ && crossed(own_share(ranges_[finished_]), crossings_[finished_])) {
        ++finished_;
        Shared(*counters_[node_.rank()].finished).store(before_ + finished_, std::memory_order_release);
    }
    return finished_ == ranges_.size() && all_reached(&Counters::finished, before_ + finished_);
}

void SharedSum::finish() {
    constexpr std::uint64_t polls_alone = 1000;  // a few microseconds, the usual skew of ranks with cores of their own
    constexpr std::uint64_t polls_for_mpi = 16;  // polling MPI costs several times as much
    for (std::uint64_t poll = 0; !progress(); ++poll) {
        if (poll < polls_alone) continue;
        std::this_thread::yield();  // to the awaited rank, where ranks share a core
        if (poll % polls_for_mpi == 0) ranks_.make_progress();
    }
    before_ += ranges_.size();
    for (std::size_t i = 0; i < ranges_.size(); ++i) crossings_[i].pending = {};
    ranges_.clear();
    on_node_count_ = finished_ = 0;
}

std::vector<index_t> SharedSum::pieces(const Range& share) const {
    std::vector<index_t> offsets;
    const index_t nodes = across_.size(), size = share.end - share.begin;
    for (index_t node = 0; node <= nodes; ++node)
        offsets.push_back(firsts_.empty() ? share.begin + size * node / nodes
                                          : std::clamp(firsts_[node * node_.size()], share.begin, share.end));
    return offsets;
}

std::vector<std::size_t> SharedSum::piece_sizes(const Range& share) const {
    const std::vector<index_t> offsets = pieces(share);
    std::vector<std::size_t> sizes;
    for (std::size_t node = 0; node + 1 < offsets.size(); ++node)
        sizes.push_back(static_cast<std::size_t>(offsets[node + 1] - offsets[node]));
    return sizes;
}

void SharedSum::cross(const Range& share, Crossing& crossing) {
    crossing.gathering = false;
    if (message_ == Message::bf16) return cross_rounded(share, crossing);
    if (in_pieces()) return cross_terms(share, crossing);
    const std::span values(arrays_[0] + share.begin, static_cast<std::size_t>(share.end - share.begin));
    crossing.pending = across_.start_all_reduce_sum(values);
}

void SharedSum::cross_rounded(const Range& share, Crossing& crossing) {
    const std::span<const real> values(arrays_[0] + share.begin, static_cast<std::size_t>(share.end - share.begin));
    const auto sizes = piece_sizes(share);
    const std::size_t piece = sizes[across_.rank()];
    if (crossing.residual.size() != values.size()) {
        crossing.residual.assign(values.size(), real{0});
        crossing.total_residual.assign(piece, real{0});
    }
    crossing.sent.resize(values.size());
    crossing.received.resize(std::max(piece * sizes.size(), values.size()));
    round_with_feedback(values, crossing.residual, crossing.sent);
    const std::vector<std::size_t> received(sizes.size(), piece);
    crossing.pending = across_.start_all_to_all_v(std::span<const Bfloat16>(crossing.sent), sizes,
                                                  std::span(crossing.received), received);
}

void SharedSum::cross_terms(const Range& share, Crossing& crossing) {
    const std::vector<index_t> offsets = pieces(share);
    std::vector<std::size_t> sizes = piece_sizes(share);
    crossing.sent_terms.resize(static_cast<std::size_t>(share.end - share.begin) * crossing_terms_);
    auto to = crossing.sent_terms.begin();
    for (std::size_t node = 0; node < sizes.size(); ++node)
        for (std::size_t term = 0; term < crossing_terms_; ++term) {
            const std::size_t left = std::min(term, on_node_.left.size() - 1);  // this node may have fewer
            to = std::copy_n(arrays_[term_at_[on_node_.left[left]]] + offsets[node], sizes[node], to);
        }
    for (std::size_t& size : sizes) size *= crossing_terms_;
    const std::vector<std::size_t> received(sizes.size(), sizes[across_.rank()]);
    crossing.received_terms.resize(received.size() * received[0]);
    crossing.pending = across_.start_all_to_all_v(std::span<const real>(crossing.sent_terms), sizes,
                                                  std::span(crossing.received_terms), received);
}

bool SharedSum::crossed(const Range& share, Crossing& crossing) {
    if (!crossing.pending.done()) return false;
    if (across_.size() == 1 || share.begin == share.end) return true;
    if (!in_pieces()) {
        spread(share);
        return true;
    }
    if (!crossing.gathering) {
        const std::vector<index_t> offsets = pieces(share);
        const std::size_t node = across_.rank();
        const Range piece{offsets[node], offsets[node + 1]};
        add_pieces(piece, crossing);
        if (!firsts_.empty()) {
            spread(piece);
            return true;
        }
        return_total(share, piece, crossing);
        crossing.gathering = true;
        return false;
    }
    const index_t size = share.end - share.begin;
    if (message_ == Message::bf16)
        std::transform(crossing.received.begin(), crossing.received.begin() + size, arrays_[0] + share.begin, widened);
    else std::copy_n(crossing.received_terms.begin(), size, arrays_[0] + share.begin);
    spread(share);
    return true;
}

void SharedSum::add_pieces(const Range& piece, Crossing& crossing) {
    const index_t size = piece.end - piece.begin;
    real* const sum = arrays_[0] + piece.begin;
    if (message_ == Message::bf16) {
        std::fill_n(sum, size, real{0});
        for (index_t node = 0; node < across_.size(); ++node)
            for (index_t i = 0; i < size; ++i) sum[i] += widened(crossing.received[node * size + i]);
        return;
    }
    real* const terms = crossing.received_terms.data();
    for (const auto& [into, from] : over_nodes_.additions)
        add(terms + static_cast<index_t>(into) * size, terms + static_cast<index_t>(from) * size, size);
    std::copy_n(terms + static_cast<index_t>(over_nodes_.left[0]) * size, size, sum);
}

void SharedSum::return_total(const Range& share, const Range& piece, Crossing& crossing) {
    const auto sizes = piece_sizes(share);
    const std::size_t size = piece.end - piece.begin;
    const std::span<const real> total(arrays_[0] + piece.begin, size);
    if (message_ == Message::bf16) {
        const auto own = std::span(crossing.sent).first(size);
        round_with_feedback(total, crossing.total_residual, own);
        crossing.pending =
            back_.start_all_gather_v(std::span<const Bfloat16>(own), std::span(crossing.received), sizes);
        return;
    }
    crossing.received_terms.resize(share.end - share.begin);
    crossing.pending = back_.start_all_gather_v(total, std::span(crossing.received_terms), sizes);
}

SharedSum::Range SharedSum::own_share(const Range& range) const {
    const index_t first = range.begin / line_values;
    const index_t lines = (range.end + line_values - 1) / line_values - first;
    const auto cut = [&](index_t rank) {
        return std::clamp((first + lines * rank / node_.size()) * line_values, range.begin, range.end);
    };
    return {cut(node_.rank()), cut(node_.rank() + 1)};
}

/// Blocks stay in the L1 cache from the first addition to the last store; two ranks need a single pass.
void SharedSum::sum_on_node(const Range& share) {
    constexpr index_t block_values = 4096 / sizeof(real);
    const auto& additions = on_node_.additions;
    const bool alone = across_.size() == 1;
    for (index_t begin = share.begin; begin < share.end; begin += block_values) {
        const Range block{begin, std::min(begin + block_values, share.end)};
        const index_t count = block.end - begin;
        for (std::size_t i = 0; i < additions.size(); ++i) {
            real* const into = arrays_[term_at_[additions[i].into]] + begin;
            real* const from = arrays_[term_at_[additions[i].from]] + begin;
            if (alone && firsts_.empty() && i + 1 == additions.size()) add_to_both(into, from, count);
            else add(into, from, count);
        }
        if (!alone) continue;
        const std::size_t last = additions.empty() || !firsts_.empty() ? 0 : term_at_[additions.back().from];
        spread(block, last % most_terms_ == 0 ? static_cast<int>(last / most_terms_) : -1);
    }
}

void SharedSum::spread(const Range& range, int but) {
    for (int rank = 1; rank < node_.size(); ++rank) {
        if (rank == but) continue;
        const Range part = needed(rank, range);
        std::copy(arrays_[0] + part.begin, arrays_[0] + part.end,
                  arrays_[static_cast<std::size_t>(rank) * most_terms_] + part.begin);
    }
}

SharedSum::Range SharedSum::needed(int rank, const Range& range) const {
    if (firsts_.empty()) return range;
    const auto at = firsts_.begin() + (std::ptrdiff_t{across_.rank()} * node_.size() + rank);
    return {std::clamp(at[0], range.begin, range.end), std::clamp(at[1], range.begin, range.end)};
}

bool SharedSum::all_reached(std::uint64_t* Counters::*counter, std::uint64_t number) const {
    return std::all_of(counters_.begin(), counters_.end(), [&](const Counters& counters) {
        return Shared(*(counters.*counter)).load(std::memory_order_acquire) >= number;
    });
}

}  // namespace pruntrain
