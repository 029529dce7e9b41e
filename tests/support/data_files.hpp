// Small data files for tests, and what the data formats read from them.
#pragma once

#include <zlib.h>

#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/data/data_format.hpp"
#include "temporary_folder.hpp"

namespace pruntrain::test {

inline void put_gz_content(const std::filesystem::path& path, const std::string& content) {
    const gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
    gzclose(file);
}

/// An IDX file of unsigned bytes.
inline std::string idx_content(const std::vector<std::uint32_t>& dimensions, const std::string& numbers) {
    std::string content{'\0', '\0', '\x08', static_cast<char>(dimensions.size())};
    for (const std::uint32_t dimension : dimensions)
        for (const int shift : {24, 16, 8, 0}) content += static_cast<char>(dimension >> shift & 0xFF);
    return content + numbers;
}

/// An NPY file with this dictionary.
inline std::string npy_content(const std::string& dictionary, const std::string& numbers, int version = 1) {
    std::string content = "\x93NUMPY";
    content += static_cast<char>(version);
    content += '\0';
    const std::size_t length = dictionary.size() + 1;
    for (int byte = 0; byte < (version == 1 ? 2 : 4); ++byte) content += static_cast<char>(length >> (8 * byte) & 0xFF);
    return content + dictionary + "\n" + numbers;
}

template <class T>
std::string bytes_of(const std::vector<T>& numbers) {
    return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(T)};
}

/// The `data` section of a configuration, written in one line of YAML.
inline Config data_section(const std::string& keys) {
    return Config::parse("data: {" + keys + "}", "test.yaml", {}).section("data");
}

/// All samples of a part, bytes as floats.
struct Samples {
    SampleHeader header;
    std::vector<float> features;
    std::vector<float> targets;
};

inline Samples read_part(const std::string& keys, Part part = Part::train) {
    const Config section = data_section(keys);
    const auto format = data_formats().find(section.word("format", std::nullopt, ""))(section, {});
    const auto source = format->open(part);
    if (!source) throw std::logic_error("there is no such part");
    Samples samples;
    samples.header = source->header();
    const auto count = static_cast<std::size_t>(samples.header.samples);
    const auto numbers = count * static_cast<std::size_t>(samples.header.shape.size());
    samples.features.resize(numbers);
    samples.targets.resize(count * static_cast<std::size_t>(samples.header.target_width));
    if (samples.header.element == Element::float32) {
        source->read(0, samples.header.samples, std::as_writable_bytes(std::span(samples.features)), samples.targets);
    } else {
        std::vector<std::uint8_t> bytes(numbers);
        source->read(0, samples.header.samples, std::as_writable_bytes(std::span(bytes)), samples.targets);
        samples.features.assign(bytes.begin(), bytes.end());
    }
    return samples;
}

/// The message of the InputError that `work` throws; "" if it throws none.
inline std::string input_error_of(const std::function<void()>& work) {
    try {
        work();
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace pruntrain::test
