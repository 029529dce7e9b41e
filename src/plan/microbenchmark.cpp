#include "pruntrain/plan/microbenchmark.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "pruntrain/base/random.hpp"
#include "pruntrain/base/timer.hpp"
#include "pruntrain/math/elementwise.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/model/weight_matrix.hpp"

namespace pruntrain {

namespace {

/// Returns the minimum of a few repetitions, since disturbances only increase a time.
template <class Work>
double shortest_s(Work work) {
    constexpr int tries = 3;
    work();  // makes plans, touches the arrays
    double shortest = std::numeric_limits<double>::infinity();
    for (int i = 0; i < tries; ++i) {
        const Timer timer;
        work();
        shortest = std::min(shortest, timer.seconds());
    }
    return shortest;
}

/// Measures the last layer, whose input needs a gradient.
double measure_flops(const char* model, const Shape& input, index_t samples, index_t width, double density) {
    Network network(Config::parse(model, "probe", {}).list("model"), input);
    network.set_tile_widths({width, width});
    const std::size_t last = network.layer_count() - 1;
    if (density < 1) {
        const RandomStream random(1, Purpose::test);
        std::vector<std::vector<std::uint8_t>> keep;
        for (const auto* parameter : network.arena().parameters()) {
            auto& flags = keep.emplace_back();
            for (std::size_t i = 0; parameter->prunable && i < parameter->value.size(); ++i)
                flags.push_back(i == 0 || random.uniform(i) < density);  // at least one weight remains
        }
        network.arena().keep(keep);
        network.layer(last).weight_matrix()->execute(Execution::sparse);
    }
    StepContext step;
    step.training = true;
    step.tiling.samples = step.global_samples = (samples + width - 1) / width * width;
    const double flops = 3 * 2 * network.layer(last).multiply_adds(step.tiling.samples);
    return flops / shortest_s([&] { network.dry_run_layer(step, last); });
}

double measure_moving(index_t array_bytes) {
    constexpr index_t clock_bytes = 1 << 23;  // long enough for the clock resolution
    const index_t times = clock_bytes / array_bytes + 1;
    const AlignedVector<real> x(static_cast<std::size_t>(array_bytes) / sizeof(real));
    AlignedVector<real> y(x.size());
    const double seconds = shortest_s([&] {
        for (index_t i = 0; i < times; ++i) add(x, y.data());
    });
    return static_cast<double>(3 * times * array_bytes) / seconds;
}

}  // namespace

double Microbenchmark::flops_per_s(bool images, index_t width, double density) {
    const auto [found, is_new] = flops_per_s_.try_emplace({images, width, density});
    if (!is_new) return found->second;
    found->second = images ? measure_flops(
                                 "model: [{layer: conv2d, channels: 64, padding: 1}, "
                                 "{layer: conv2d, channels: 64, padding: 1}]",
                                 {64, 14, 14}, 16, width, density)
                           : measure_flops("model: [{layer: dense, units: 1024}, {layer: dense, units: 1024}]",
                                           {1024, 1, 1}, 64, width, density);
    return found->second;
}

double Microbenchmark::moved_per_s(double array_bytes) {
    constexpr double smallest = 1 << 12, largest = 1 << 25;  // two arrays of the largest size exceed any cache
    const auto size =
        static_cast<index_t>(std::bit_ceil(static_cast<std::size_t>(std::clamp(array_bytes, smallest, largest))));
    const auto [found, is_new] = moved_per_s_.try_emplace(size);
    if (is_new) found->second = measure_moving(size);
    return found->second;
}

}  // namespace pruntrain
