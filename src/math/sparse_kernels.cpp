#include "pruntrain/math/sparse_kernels.hpp"

#include <hwy/cache_control.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/math/sparse_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace pruntrain::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// D is one of these: the widest vectors that fit the pieces of a block.
using Wide = hn::CappedTag<real, 16>;
using Narrow = hn::CappedTag<real, 8>;  // the same as Wide if vectors have at most 8 elements
constexpr index_t most_vectors = 8;     // accumulators that fit in the 16 registers of AVX2 together with the operands
constexpr index_t line = 64 / sizeof(real);

template <class D>
constexpr index_t width = static_cast<index_t>(hn::MaxLanes(D()));

/// Positions of V vectors of a block on the side of the rows.
template <class D, index_t V>
struct Places {
    index_t of[V];

    Places(const BlockLayout& layout, index_t first_lane) {
        index_t piece = 0, lane = first_lane;
        for (index_t v = 0; v < V; ++v, lane += width<D>) {
            for (; lane >= layout.piece; lane -= layout.piece) piece += layout.piece_stride;
            of[v] = piece + lane;
        }
    }

    // Loops are written in place, without a function per line: GCC removes calls of functions that only prefetch.

    /// Into the L1 cache.
    HWY_INLINE void prefetch(const real* row) const {
        for (index_t v = 0; v < V; v += vectors_of_line()) hwy::Prefetch(row + of[v]);
    }
    /// Into the L2 cache.
    HWY_INLINE void prefetch_next(const real* row) const {
        for (index_t v = 0; v < V; v += vectors_of_line()) __builtin_prefetch(row + of[v], 0, 2);
    }

   private:
    static HWY_INLINE index_t vectors_of_line() { return line > width<D> ? line / width<D> : 1; }
};

/// Calls work(length, begins_rows, segment) for all segments. Prefetches the data of a later segment into the L1 cache,
/// and the rows of the next block into the L2 cache.
template <class D, index_t V, class Work>
HWY_INLINE void for_each_segment(const SparseEntries& entries, const Places<D, V>& places, const real* packed,
                                 const real* rows, const BlockLayout& layout, Work work) {
    constexpr std::ptrdiff_t rows_ahead = 2, packed_ahead = 3;  // measured: about 100 cycles ahead with 10 entries each
    const SparseEntries::Segment* segment = entries.segments.data();
    const SparseEntries::Segment* const end = segment + entries.segments.size();
    for (const auto& run : entries.runs) {
        const auto length = static_cast<std::ptrdiff_t>(run.length);
        for (std::uint32_t s = 0; s < run.segments; ++s, ++segment) {
            if (end - segment > packed_ahead) {
                hwy::Prefetch(packed + segment[packed_ahead].first);
                hwy::Prefetch(packed + segment[packed_ahead].first + line - 1);
                places.prefetch(rows + segment[rows_ahead].row * layout.row_stride);
            }
            if (run.begins_rows) places.prefetch_next(rows + segment->row * layout.row_stride + layout.next);
            work(length, run.begins_rows, *segment);
        }
    }
}

/// V vectors of a block. Entries go in turn to `chains` sets of accumulators, so that an addition does not wait for the
/// previous one.
template <class D, index_t V>
void multiply_vectors(const SparseEntries& entries, const real* HWY_RESTRICT values, const real* HWY_RESTRICT x,
                      const real* HWY_RESTRICT bias, const BlockLayout& layout, index_t first_lane,
                      real* HWY_RESTRICT y) {
    constexpr index_t chains = V >= 5 ? 1 : V >= 3 ? 2 : 4;
    using Vector = hn::Vec<D>;
    const D d;
    const Places<D, V> places(layout, first_lane);
    const std::uint32_t* HWY_RESTRICT offsets = entries.offsets.data();
    x += first_lane;
    const auto work = [&](std::ptrdiff_t length, bool begins_rows, const SparseEntries::Segment& segment) HWY_ATTR {
        const real* HWY_RESTRICT const value = values + segment.first;
        real* HWY_RESTRICT const row = y + segment.row * layout.row_stride;
        Vector sum[chains][V];
        for (index_t c = 0; c < chains; ++c)
            for (index_t v = 0; v < V; ++v) sum[c][v] = hn::Zero(d);
        std::ptrdiff_t k = 0;
        for (; k + chains <= length; k += chains)
            for (index_t c = 0; c < chains; ++c) {
                const real* HWY_RESTRICT const from = x + offsets[k + c];
                const Vector factor = hn::Set(d, value[k + c]);
                for (index_t v = 0; v < V; ++v)
                    sum[c][v] = hn::MulAdd(factor, hn::LoadU(d, from + v * width<D>), sum[c][v]);
            }
        if constexpr (chains > 1)
            for (; k < length; ++k) {
                const real* HWY_RESTRICT const from = x + offsets[k];
                const Vector factor = hn::Set(d, value[k]);
                for (index_t v = 0; v < V; ++v)
                    sum[0][v] = hn::MulAdd(factor, hn::LoadU(d, from + v * width<D>), sum[0][v]);
            }
        offsets += length;
        for (index_t c = 1; c < chains; ++c)
            for (index_t v = 0; v < V; ++v) sum[0][v] = hn::Add(sum[0][v], sum[c][v]);
        if (begins_rows) {
            const Vector start = bias != nullptr ? hn::Set(d, bias[segment.row]) : hn::Zero(d);
            for (index_t v = 0; v < V; ++v) hn::StoreU(hn::Add(start, sum[0][v]), d, row + places.of[v]);
        } else {
            for (index_t v = 0; v < V; ++v)
                hn::StoreU(hn::Add(hn::LoadU(d, row + places.of[v]), sum[0][v]), d, row + places.of[v]);
        }
    };
    for_each_segment(entries, places, values, y, layout, work);
}

/// row . x for V vectors, not yet summed over the lanes of a vector.
template <class D, index_t V>
HWY_INLINE hn::Vec<D> products(D d, const hn::Vec<D> (&row)[V], const real* HWY_RESTRICT from) {
    hn::Vec<D> sum = hn::Mul(row[0], hn::LoadU(d, from));
    for (index_t v = 1; v < V; ++v) sum = hn::MulAdd(row[v], hn::LoadU(d, from + v * width<D>), sum);
    return sum;
}

#if !defined(PRUNTRAIN_DOUBLE) && HWY_TARGET != HWY_SCALAR
#define PRUNTRAIN_FOUR_SUMS 1

/// Adds the groups of four elements of a vector.
template <class D>
HWY_INLINE auto add_blocks(D d, hn::Vec<D> blocks) {
    if constexpr (hn::MaxLanes(d) <= 4) {
        return blocks;
    } else {
        const hn::Half<D> half;
        return add_blocks(half, hn::Add(hn::LowerHalf(half, blocks), hn::UpperHalf(half, blocks)));
    }
}

/// The sums of four vectors, in one vector: shared additions, 6 shuffles instead of 12.
template <class D>
HWY_INLINE auto four_sums(D d, hn::Vec<D> a, hn::Vec<D> b, hn::Vec<D> c, hn::Vec<D> e) {
    const auto ac = hn::Add(hn::InterleaveLower(d, a, c), hn::InterleaveUpper(d, a, c));
    const auto be = hn::Add(hn::InterleaveLower(d, b, e), hn::InterleaveUpper(d, b, e));
    return add_blocks(d, hn::Add(hn::InterleaveLower(d, ac, be), hn::InterleaveUpper(d, ac, be)));
}
#else
#define PRUNTRAIN_FOUR_SUMS 0
#endif

/// V vectors of a block: the row's dy stays in registers for all of its entries.
template <class D, index_t V>
void gradient_vectors(const SparseEntries& entries, const real* HWY_RESTRICT x, const BlockLayout& layout,
                      index_t first_lane, const real* HWY_RESTRICT dy, bool accumulate, real* HWY_RESTRICT g,
                      real* HWY_RESTRICT row_sums) {
    using Vector = hn::Vec<D>;
    const D d;
    const Places<D, V> places(layout, first_lane);
    const std::uint32_t* HWY_RESTRICT offsets = entries.offsets.data();
    x += first_lane;
    const auto work = [&](std::ptrdiff_t length, bool begins_rows, const SparseEntries::Segment& segment) HWY_ATTR {
        real* HWY_RESTRICT const sums = g + segment.first;
        const real* HWY_RESTRICT const from = dy + segment.row * layout.row_stride;
        Vector row[V];
        for (index_t v = 0; v < V; ++v) row[v] = hn::LoadU(d, from + places.of[v]);
        if (begins_rows && row_sums != nullptr) {
            Vector sum = row[0];
            for (index_t v = 1; v < V; ++v) sum = hn::Add(sum, row[v]);
            const real total = hn::GetLane(hn::SumOfLanes(d, sum));
            row_sums[segment.row] = accumulate ? row_sums[segment.row] + total : total;
        }
        std::ptrdiff_t k = 0;
#if PRUNTRAIN_FOUR_SUMS
        const hn::CappedTag<real, 4> four;
        for (; k + 4 <= length; k += 4) {
            auto sum =
                four_sums(d, products<D, V>(d, row, x + offsets[k]), products<D, V>(d, row, x + offsets[k + 1]),
                          products<D, V>(d, row, x + offsets[k + 2]), products<D, V>(d, row, x + offsets[k + 3]));
            if (accumulate) sum = hn::Add(sum, hn::LoadU(four, sums + k));
            hn::StoreU(sum, four, sums + k);
        }
#endif
        for (; k < length; ++k) {
            const real sum = hn::GetLane(hn::SumOfLanes(d, products<D, V>(d, row, x + offsets[k])));
            sums[k] = accumulate ? sums[k] + sum : sum;
        }
        offsets += length;
    };
    for_each_segment(entries, places, g, dy, layout, work);
}

/// Calls work.operator()<D, V>(first lane) for parts of at most `most_vectors` vectors.
template <class D, class Work>
void for_each_part(index_t lanes, Work work) {
    for (index_t first = 0; first < lanes; first += most_vectors * width<D>) {
        const index_t vectors = (lanes - first) / width<D>;
        if (vectors == 1) work.template operator()<D, 1>(first);
        else if (vectors == 2) work.template operator()<D, 2>(first);
        else if (vectors == 3) work.template operator()<D, 3>(first);
        else if (vectors == 4) work.template operator()<D, 4>(first);
        else if (vectors == 5) work.template operator()<D, 5>(first);
        else if (vectors == 6) work.template operator()<D, 6>(first);
        else if (vectors == 7) work.template operator()<D, 7>(first);
        else work.template operator()<D, 8>(first);
    }
}

template <class Work>
void for_each_part(const BlockLayout& layout, Work work) {
    if (layout.piece % width<Wide> == 0) for_each_part<Wide>(layout.lanes, work);
    else for_each_part<Narrow>(layout.lanes, work);
}

void multiply(const SparseEntries& entries, const real* values, const real* x, const real* bias,
              const BlockLayout& layout, real* y) {
    for_each_part(layout, [&]<class D, index_t V>(index_t lane) {
        multiply_vectors<D, V>(entries, values, x, bias, layout, lane, y);
    });
}

void gradient(const SparseEntries& entries, const real* x, const BlockLayout& layout, const real* dy, bool accumulate,
              real* g, real* row_sums) {
    for_each_part(layout, [&]<class D, index_t V>(index_t lane) {
        gradient_vectors<D, V>(entries, x, layout, lane, dy, accumulate || lane > 0, g, row_sums);
    });
}

index_t register_lanes() { return most_vectors * width<Wide>; }

#undef PRUNTRAIN_FOUR_SUMS

}  // namespace pruntrain::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pruntrain {

HWY_EXPORT(multiply);
HWY_EXPORT(gradient);
HWY_EXPORT(register_lanes);

void sparse_multiply(const SparseEntries& entries, const real* values, const real* x, const real* bias,
                     const BlockLayout& layout, real* y) {
    HWY_DYNAMIC_DISPATCH(multiply)(entries, values, x, bias, layout, y);
}

void sparse_gradient(const SparseEntries& entries, const real* x, const BlockLayout& layout, const real* dy,
                     bool accumulate, real* g, real* row_sums) {
    HWY_DYNAMIC_DISPATCH(gradient)(entries, x, layout, dy, accumulate, g, row_sums);
}

index_t register_lanes() { return HWY_DYNAMIC_DISPATCH(register_lanes)(); }

}  // namespace pruntrain
#endif
