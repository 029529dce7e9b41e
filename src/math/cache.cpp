#include "pruntrain/math/cache.hpp"

#include <unistd.h>

namespace pruntrain {

namespace {

index_t system_says([[maybe_unused]] int name, index_t otherwise) {
    const long bytes = name < 0 ? 0 : sysconf(name);
    return bytes > 0 ? static_cast<index_t>(bytes) : otherwise;
}

#ifdef _SC_LEVEL1_DCACHE_SIZE
constexpr int first_level = _SC_LEVEL1_DCACHE_SIZE, second_level = _SC_LEVEL2_CACHE_SIZE;
#else
constexpr int first_level = -1, second_level = -1;
#endif

}  // namespace

index_t first_level_cache_bytes() {
    static const index_t bytes = system_says(first_level, index_t{32} << 10);
    return bytes;
}

index_t second_level_cache_bytes() {
    static const index_t bytes = system_says(second_level, index_t{512} << 10);
    return bytes;
}

}  // namespace pruntrain
