// Contiguous ranges that partition a sequence.
#pragma once

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// A contiguous range: [first, first + size).
struct Block {
    index_t first = 0;
    index_t size = 0;
};

/// One of `blocks` blocks that divide `count` elements evenly: their sizes differ by at most one.
Block even_block(index_t count, index_t block, index_t blocks);

}  // namespace pruntrain
