#include "pruntrain/io/npy_file.hpp"

#include <fstream>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

void write_npy(const std::string& path, const std::vector<index_t>& shape, std::span<const float> values) {
    std::string sizes;
    for (const index_t size : shape) sizes += text(size, ",");
    std::string header = text("{'descr': '<f4', 'fortran_order': False, 'shape': (", sizes, "), }");
    constexpr std::size_t preamble = 10;  // magic, version, length of the header
    header.append(63 - (preamble + header.size()) % 64, ' ');
    header += '\n';  // the data begins at a multiple of 64
    std::ofstream file(path, std::ios::binary);
    file.write("\x93NUMPY\x01\x00", 8);
    file.put(static_cast<char>(header.size() & 0xff)).put(static_cast<char>(header.size() >> 8));
    file << header;
    file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
    file.close();
    if (!file) fault("cannot write ", path, ": is the disk full?");
}

}  // namespace pruntrain
