#include "pruntrain/base/range.hpp"

#include <algorithm>

namespace pruntrain {

Block even_block(index_t count, index_t block, index_t blocks) {
    const index_t first = count * block / blocks;
    return {first, count * (block + 1) / blocks - first};
}

}  // namespace pruntrain
