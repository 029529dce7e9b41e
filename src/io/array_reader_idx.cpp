// IDX files: magic number with type and number of dimensions, dimensions, elements, all big-endian.
#include <array>
#include <optional>
#include <utility>

#include "other_format.hpp"
#include "pruntrain/base/error.hpp"
#include "stream_reader.hpp"

namespace pruntrain {

namespace {

std::uint32_t read_big_endian(GzFile& file) {
    std::array<std::uint8_t, 4> bytes{};
    file.read(std::as_writable_bytes(std::span(bytes)));
    return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 | bytes[3];
}

std::optional<Number> number_of(std::uint32_t type) {
    constexpr std::array<std::pair<std::uint32_t, Number>, 6> types{{{0x08, Number::uint8},
                                                                     {0x09, Number::int8},
                                                                     {0x0B, Number::int16},
                                                                     {0x0C, Number::int32},
                                                                     {0x0D, Number::float32},
                                                                     {0x0E, Number::float64}}};
    for (const auto& [code, number] : types)
        if (code == type) return number;
    return std::nullopt;
}

}  // namespace

std::unique_ptr<ArrayReader> open_idx(const std::string& path) {
    GzFile file(path);
    const std::uint32_t magic = read_big_endian(file);  // 0, 0, type code, number of dimensions
    const std::uint32_t type = magic >> 8, dimension_count = magic & 0xFF;
    if (magic >> 16 != 0 || dimension_count == 0)
        input_error("'", path, "' is no IDX file: its magic number is ", magic, ", MNIST's are 2049 and 2051",
                    other_format(path));
    const auto number = number_of(type);
    if (!number)
        input_error("'", path, "' stores elements of IDX type ", type,
                    ": allowed are 8 (unsigned bytes), 9 (bytes), 11 and 12 (integers of 16 and 32 bits), 13 and 14 "
                    "(floating-point values of 32 and 64 bits)");
    StreamLayout layout{index_t{4} * (1 + dimension_count), {}, {*number, true}, false};
    for (std::uint32_t i = 0; i < dimension_count; ++i) layout.dimensions.push_back(read_big_endian(file));
    return std::make_unique<StreamReader>(std::move(file), std::move(layout));
}

}  // namespace pruntrain
