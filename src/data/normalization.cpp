#include "pruntrain/data/normalization.hpp"

#include <algorithm>
#include <cmath>

namespace pruntrain {

namespace {

/// The mean, rounded so that differences of integers, and of fractions as coarse as std, stay exact.
double rounded_offset(double mean, double deviation) {
    const int exponent = std::min(0, std::ilogb(deviation));
    const double rounded = std::ldexp(std::round(std::ldexp(mean, -exponent)), exponent);
    return std::isfinite(rounded) ? rounded : mean;
}

}  // namespace

Offsets offsets_of(const Normalization& normalization, index_t channels) {
    constexpr double largest_ratio = 1 << 10;
    const auto& [means, deviations] = normalization;
    Offsets offsets;
    for (std::size_t channel = 0; channel < static_cast<std::size_t>(channels); ++channel) {
        const double mean = means[means.size() == 1 ? 0 : channel];
        const double deviation = deviations[deviations.size() == 1 ? 0 : channel];
        offsets.push_back(std::abs(mean) > largest_ratio * deviation ? rounded_offset(mean, deviation) : 0);
    }
    const bool any = std::ranges::any_of(offsets, [](double offset) { return offset != 0; });
    return any ? offsets : Offsets{};
}

Normalization measure_in_double(const SampleSource& source, const std::vector<bool>& left_out) {
    const SampleHeader header = source.header();
    const std::size_t channels = header.shape.channels;
    const std::size_t pixels = header.shape.pixels();
    const auto counted = static_cast<double>(std::ranges::count(left_out, false)) * static_cast<double>(pixels);
    const auto mean_of = [&](const auto& term) {
        std::vector<double> sums(channels, 0.0);
        source.visit(0, header.samples, [&](index_t sample, std::span<const double> values) {
            if (left_out[sample]) return;
            for (std::size_t i = 0; i < values.size(); ++i) sums[i / pixels] += term(i / pixels, values[i]);
        });
        for (double& sum : sums) sum /= counted;
        return sums;
    };
    // Differences to the first value of a channel, so that a large mean loses no digits.
    std::vector<double> first;
    source.visit(0, 1, [&](index_t, std::span<const double> values) {
        for (std::size_t channel = 0; channel < channels; ++channel) first.push_back(values[channel * pixels]);
    });
    Normalization measured;
    measured.mean = mean_of([&](std::size_t channel, double x) { return x - first[channel]; });
    measured.deviation = mean_of([&](std::size_t channel, double x) {
        const double difference = x - first[channel] - measured.mean[channel];
        return difference * difference;
    });
    for (std::size_t channel = 0; channel < channels; ++channel) measured.mean[channel] += first[channel];
    for (double& value : measured.deviation) value = value > 0 ? std::sqrt(value) : 1;
    return measured;
}

}  // namespace pruntrain
