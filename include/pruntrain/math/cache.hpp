// Sizes of the processor's caches.
#pragma once

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// Bytes of one core's first-level data cache; 32 KiB where the system does not say.
index_t first_level_cache_bytes();
/// Bytes of the second-level cache; 512 KiB where the system does not say.
index_t second_level_cache_bytes();

}  // namespace pruntrain
