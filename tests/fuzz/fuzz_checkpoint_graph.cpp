// The text of a checkpoint's graph, without the file around it.
#include "fuzz.hpp"
#include "src/run/checkpoint_layout.hpp"

using namespace pruntrain;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string graph(reinterpret_cast<const char*>(data), size);
    fuzz::accepted([&] { check_graph(graph, {"dense1"}); });
    return 0;
}
