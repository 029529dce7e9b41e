// IDX files. Of an even first byte the rest is the file (which may be gzip); of an odd one it is compressed first, as
// no mutation keeps the checksum at the end of gzip.
#include <zlib.h>

#include "fuzz.hpp"
#include "pruntrain/data/array_source.hpp"

using namespace pruntrain;

namespace {

void put_gz(const std::filesystem::path& path, const std::string& content) {
    const gzFile file = gzopen(path.c_str(), "wb1");
    gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
    gzclose(file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string content(data + 1, data + size), path = fuzz::file_for_input().string();
    if (data[0] % 2 == 0) put_content(path, content);
    else put_gz(path, content);
    fuzz::accepted([&] { fuzz::read_all(*open_idx(path)); });
    fuzz::accepted([&] { make_array_source(open_idx(path), open_idx(path)); });
    return 0;
}
