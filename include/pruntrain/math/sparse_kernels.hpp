// Products of a sparse matrix with blocks of samples, for dense layers and convolutions alike. Compiled for several
// instruction sets (Google Highway); the best that the processor has is chosen at run time.
//
// A block is `lanes` numbers that lie side by side in memory for every input of the matrix: the samples of a tile, or
// some samples of neighbouring pixels. With the entries k of row i, each a value v[k] and the offset o[k] of its input,
//     multiply:  y[i, l] = b[i] + sum over k of v[k] x[o[k] + l]
//     gradient:  g[k]    = sum over l of dy[i, l] x[o[k] + l]
// An entry costs one broadcast and lanes/width fused multiply-adds on contiguous memory, with the row's numbers in
// registers; the ceiling is the rate of loads from the first-level cache. What keeps the kernels near it:
//   panels    groups of columns whose x fits in that cache, each done for all rows before the next;
//   runs      in a panel, rows with equally many entries follow each other, so the processor foresees the inner loop;
//   prefetch  of rows and packed numbers, which then lie apart (without it runs lose more than they win).
#pragma once

#include <cstdint>
#include <vector>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// The entries of a sparse matrix in the order in which the kernels read them. The first panel has a segment for every
/// row, if an empty one: there the row is begun; later panels only for rows that have entries.
struct SparseEntries {
    /// What a row has in a panel.
    struct Segment {
        std::uint32_t row;
        std::uint32_t first;  ///< packed number of its first entry; the others follow
    };
    /// Neighbouring segments of one length.
    struct Run {
        std::uint32_t segments;
        std::uint32_t length;
        bool begins_rows;  ///< of the first panel
    };

    std::vector<std::uint32_t> offsets;  ///< of each entry, in the order of the segments: where its input begins
    std::vector<Segment> segments;
    std::vector<Run> runs;

    std::size_t bytes() const {
        return offsets.size() * sizeof(std::uint32_t) + segments.size() * sizeof(Segment) + runs.size() * sizeof(Run);
    }
};

/// Where the numbers of a block lie on the side of the rows (y and dy): `lanes` numbers in pieces, one for each pixel.
struct BlockLayout {
    index_t lanes = 0;         ///< a multiple of 8
    index_t piece = 0;         ///< numbers side by side; divides lanes; a multiple of 8
    index_t piece_stride = 0;  ///< from one piece to the next
    index_t row_stride = 0;    ///< from one row to the next
    index_t next = 0;          ///< from here to the same place of the block that will follow, to be brought near
};

/// Lanes for which the registers of this processor have room: more are worked off in parts, fewer leave some empty.
index_t register_lanes();

/// y = bias + the product with one block. @param bias  a number for each row, or null: zeros
void sparse_multiply(const SparseEntries& entries, const real* values, const real* x, const real* bias,
                     const BlockLayout& layout, real* y);

/// The gradient of all entries' values from one block.
/// @param accumulate  adds to g and row_sums instead of setting them
/// @param row_sums  the sum of each row of dy, the gradient of a bias, or null
void sparse_gradient(const SparseEntries& entries, const real* x, const BlockLayout& layout, const real* dy,
                     bool accumulate, real* g, real* row_sums);

}  // namespace pruntrain
