#include "pruntrain/data/data_format.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <numeric>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

void SampleSource::visit(index_t first, index_t count, const Take& take) const {
    const std::size_t size = header().shape.size();
    std::vector<float> values(static_cast<std::size_t>(count) * size);
    read(first, count, std::as_writable_bytes(std::span(values)), {});
    const std::vector<double> doubles(values.begin(), values.end());
    for (index_t n = 0; n < count; ++n)
        take(first + n, std::span(doubles).subspan(static_cast<std::size_t>(n) * size, size));
}

std::string read_directory(const Config& config, const std::string& fallback) {
    return config.path("directory", fallback, "directory of the data files");
}

std::string in_directory(const std::string& directory, const std::string& file) {
    if (file.empty()) return file;
    return (std::filesystem::path(directory) / file).lexically_normal().string();
}

std::vector<index_t> read_shape(const Config& config, const std::vector<double>& fallback, const std::string& meaning) {
    constexpr double most_features = 1 << 28;  // keeps samples x features x bytes from overflowing
    const auto sizes = config.numbers("shape", fallback, between(1, most_features), meaning);
    const bool whole = std::all_of(sizes.begin(), sizes.end(), [](double size) { return size == std::floor(size); });
    const double features = std::accumulate(sizes.begin(), sizes.end(), 1.0, std::multiplies{});
    if (!whole || (sizes.size() != fallback.size() && sizes.size() != 1 && sizes.size() != 3) ||
        features > most_features)
        input_error(config.place_of("shape"), ": expected integers, [features] or [channels, rows, columns], ",
                    "with a product of at most ", exact(most_features));
    return {sizes.begin(), sizes.end()};
}

Shape to_shape(const std::vector<index_t>& sizes) {
    return sizes.size() == 3 ? Shape{sizes[0], sizes[1], sizes[2]} : Shape{sizes[0], 1, 1};
}

}  // namespace pruntrain
