// Products of a sparse matrix with blocks of samples, for dense layers and convolutions. Compiled for several
// instruction sets (Google Highway); the best one that the processor supports is selected at run time.
//
// A block is `lanes` contiguous elements for every input of the matrix: the samples of a tile, or some samples of
// neighboring pixels. With the entries k of row i, each a value v[k] and the offset o[k] of its input,
//     multiply:  y[i, l] = b[i] + sum over k of v[k] x[o[k] + l]
//     gradient:  g[k]    = sum over l of dy[i, l] x[o[k] + l]
// An entry costs one broadcast and lanes/width fused multiply-adds on contiguous memory, with the row's elements in
// registers. The upper limit is the load rate of the L1 cache. Three techniques keep the kernels near it:
//   panels    groups of columns whose x fits in the L1 cache; each panel is processed for all rows before the next;
//   runs      in a panel, rows with equally many entries are consecutive, so the inner loop's branch is predicted;
//   prefetch  of rows and packed values, which are then not contiguous (without it runs cost more than they save).
#pragma once

#include <cstdint>
#include <vector>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// The entries of a sparse matrix in the order in which the kernels read them. The first panel has a segment for every
/// row, even an empty one, where the row is initialized. Later panels have segments only for rows with entries.
struct SparseEntries {
    /// The entries of a row in a panel.
    struct Segment {
        std::uint32_t row;
        std::uint32_t first;  ///< packed position of its first entry; the others follow
    };
    /// Consecutive segments of equal length.
    struct Run {
        std::uint32_t segments;
        std::uint32_t length;
        bool begins_rows;  ///< true in the first panel
    };

    std::vector<std::uint32_t> offsets;  ///< input offset of each entry, in the order of the segments
    std::vector<Segment> segments;
    std::vector<Run> runs;

    std::size_t bytes() const {
        return offsets.size() * sizeof(std::uint32_t) + segments.size() * sizeof(Segment) + runs.size() * sizeof(Run);
    }
};

/// Layout of a block on the side of the rows (y and dy): `lanes` elements in pieces, one per pixel.
struct BlockLayout {
    index_t lanes = 0;         ///< a multiple of 8
    index_t piece = 0;         ///< contiguous elements; divides lanes; a multiple of 8
    index_t piece_stride = 0;  ///< from one piece to the next
    index_t row_stride = 0;    ///< from one row to the next
    index_t next = 0;          ///< offset to the same position in the next block, for prefetching
};

/// Lanes that fit in the registers of this processor. More lanes are processed in parts, fewer leave registers unused.
index_t register_lanes();

/// y = bias + the product with one block. @param bias  an element per row, or null: zeros
void sparse_multiply(const SparseEntries& entries, const real* values, const real* x, const real* bias,
                     const BlockLayout& layout, real* y);

/// The gradient of all entries' values from one block.
/// @param accumulate  adds to g and row_sums instead of overwriting them
/// @param row_sums  the sum of each row of dy, the gradient of a bias, or null
void sparse_gradient(const SparseEntries& entries, const real* x, const BlockLayout& layout, const real* dy,
                     bool accumulate, real* g, real* row_sums);

}  // namespace pruntrain
