// The settings of HDF5 for the whole program.
#include <lzf.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "h5_call.hpp"

namespace pruntrain::h5 {

namespace {

constexpr H5Z_filter_t lzf_id = 32000;  // as The HDF Group has registered it for h5py

/// Uncompresses a chunk that h5py compressed with LZF. The third client value is the size of a chunk.
std::size_t uncompress_lzf(unsigned flags, std::size_t value_count, const unsigned* values, std::size_t bytes,
                           std::size_t* buffer_bytes, void** buffer) {
    constexpr std::size_t largest_ratio = 300, largest_input = 0xFFFFFFFF;   // a match of 264 bytes takes 3
    if ((flags & H5Z_FLAG_REVERSE) == 0 || bytes > largest_input) return 0;  // files are only read
    const std::size_t most = std::min(bytes * largest_ratio, largest_input);
    std::size_t room = std::min<std::size_t>(value_count > 2 && values[2] > 0 ? values[2] : 4 * bytes, most);
    for (;;) {
        void* const result = H5allocate_memory(room, false);
        if (result == nullptr) return 0;
        errno = 0;
        const std::size_t size =
            lzf_decompress(*buffer, static_cast<unsigned>(bytes), result, static_cast<unsigned>(room));
        if (size > 0) {
            H5free_memory(*buffer);
            *buffer = result;
            *buffer_bytes = room;
            return size;
        }
        H5free_memory(result);
        if (errno != E2BIG || room == most) return 0;
        room = std::min(2 * room, most);
    }
}

}  // namespace

void prepare() {
    // Errors are turned off for each thread, as a thread-safe HDF5 has them; the rest once.
    static const bool done = [] {
        setenv("HDF5_USE_FILE_LOCKING", "FALSE", 0);
        const H5Z_class2_t lzf{H5Z_CLASS_T_VERS, lzf_id, 0, 1, "lzf", nullptr, nullptr, uncompress_lzf};
        return H5Zregister(&lzf) >= 0;
    }();
    if (!done) fault("HDF5 cannot be prepared: ", reason());
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

}  // namespace pruntrain::h5
