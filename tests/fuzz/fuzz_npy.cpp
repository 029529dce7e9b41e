// NumPy's files.
#include "fuzz.hpp"
#include "pruntrain/data/array_source.hpp"

using namespace pruntrain;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string path = fuzz::file_for_input().string();
    put_content(path, {data, data + size});
    fuzz::accepted([&] { fuzz::read_all(*open_npy(path)); });
    fuzz::accepted([&] { make_array_source(open_npy(path), open_npy(path)); });
    return 0;
}
