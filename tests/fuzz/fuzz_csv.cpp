// Tables of numbers. The first byte chooses the layout, the rest is the file.
#include "fuzz.hpp"
#include "pruntrain/data/data_format.hpp"

using namespace pruntrain;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    put_content(fuzz::file_for_input(), {data + 1, data + size});
    constexpr const char* separators[] = {"comma", "semicolon", "tab", "comma"};
    const std::string keys =
        text("{directory: /, train_file: '", fuzz::file_for_input().string(), "', separator: ", separators[data[0] % 4],
             ", target: ", data[0] & 4 ? "first" : "last", ", target_columns: ", 1 + (data[0] >> 4), "}");
    fuzz::accepted([&] {
        const Config section = Config::parse("data: " + keys, "fuzz.yaml", {}).section("data");
        const auto source = data_formats().find("csv")(section)->open(Part::train);
        const SampleHeader header = source->header();
        const auto samples = static_cast<std::size_t>(header.samples);
        const std::size_t features = samples * static_cast<std::size_t>(header.shape.size());
        const std::size_t targets = samples * static_cast<std::size_t>(header.target_width);
        fuzz::require(features + targets <= size);  // each has a byte at least
        std::vector<float> inputs(features), outputs(targets);
        source->read(0, header.samples, std::as_writable_bytes(std::span(inputs)), outputs);
    });
    return 0;
}
