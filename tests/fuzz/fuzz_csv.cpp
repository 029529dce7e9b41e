// Tables of text. The first two bytes choose separator, heading, columns and the like, the rest is the file.
#include "fuzz.hpp"
#include "pruntrain/data/data_format.hpp"

using namespace pruntrain;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    put_content(fuzz::file_for_input(), {data + 2, data + size});
    constexpr const char* separators[] = {"auto", "comma", "semicolon", "tab", "blank", "bar", "auto", "':'"};
    constexpr const char* targets[] = {"last", "first", "2", "[class, a]"};
    constexpr const char* headings[] = {"auto", "auto", "yes", "no"};
    const bool by_place = (data[0] >> 3 & 3) < 2;
    const std::string keys =
        text("{directory: /, train_file: '", fuzz::file_for_input().string(), "', separator: ", separators[data[0] & 7],
             ", target: ", targets[data[0] >> 3 & 3], ", target_columns: ", by_place ? 1 + (data[0] >> 5) : 1,
             ", header: ", headings[data[1] & 3], ", decimal: ", data[1] & 4 ? "comma" : "point",
             ", index_column: ", data[1] & 8 ? "drop" : "keep", ", skip_lines: ", data[1] >> 4 & 1,
             ", skip_after_header: ", data[1] >> 5 & 1, data[1] & 64 ? ", leave_out: 1" : "",
             data[1] & 128 ? ", comment: ''" : "", "}");
    fuzz::accepted([&] {
        const Config section = Config::parse("data: " + keys, "fuzz.yaml", {}).section("data");
        const auto source = data_formats().find("csv")(section, {})->open(Part::train);
        const SampleHeader header = source->header();
        const auto samples = static_cast<std::size_t>(header.samples);
        const std::size_t features = samples * static_cast<std::size_t>(header.shape.size());
        const std::size_t targets_read = samples * static_cast<std::size_t>(header.target_width);
        const bool compressed = size > 3 && data[2] == 0x1F && data[3] == 0x8B;
        fuzz::require(compressed || features + targets_read <= size);  // each has a byte at least
        std::vector<float> inputs(features), outputs(targets_read);
        source->read(0, header.samples, std::as_writable_bytes(std::span(inputs)), outputs);
        const auto classes = static_cast<float>(source->classes()->size());
        for (const float output : outputs) fuzz::require(classes == 0 || (output >= 0 && output < classes));
    });
    return 0;
}
