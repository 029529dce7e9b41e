// Sizes of the processor's caches.
#pragma once

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// Size of a core's L1 data cache in bytes; 32 KiB if unknown.
index_t first_level_cache_bytes();
/// Size of the L2 cache in bytes; 512 KiB if unknown.
index_t second_level_cache_bytes();

}  // namespace pruntrain
