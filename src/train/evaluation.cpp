#include "pruntrain/train/evaluation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "pruntrain/base/error.hpp"
#include "pruntrain/data/sampler.hpp"

namespace pruntrain {

namespace {

/// Appends (tile, output, sample) outputs as (sample, output).
void append_outputs(const Tiling& tiling, index_t width, const real* outputs, std::vector<float>& all) {
    for (index_t sample = 0; sample < tiling.samples; ++sample)
        for (index_t output = 0; output < width; ++output)
            all.push_back(static_cast<float>(
                outputs[(sample / tiling.width * width + output) * tiling.width + sample % tiling.width]));
}

}  // namespace

Evaluation evaluate(Network& network, const Loss& loss, const Dataset& dataset, Split split, const Slices& slices,
                    std::vector<float>* outputs, Metrics* metrics) {
    Evaluation result{.samples = dataset.samples(split)};
    if (result.samples == 0) return result;
    const auto target_width = static_cast<std::size_t>(dataset.target_width());
    std::vector<index_t> numbers;
    AlignedVector<real> input;
    std::vector<float> targets;
    std::vector<double> rows;  // per slice: loss, correctly classified samples
    for (index_t slice = slices.own().first; slice < slices.own().first + slices.own().size; ++slice) {
        const Block block = even_block(result.samples, slice, slices.count());
        double sum = 0;
        index_t correct = 0;
        for (index_t first = block.first; first < block.first + block.size; first += evaluation_samples) {
            const index_t samples = std::min(evaluation_samples, block.first + block.size - first);
            numbers.resize(samples);
            std::iota(numbers.begin(), numbers.end(), first);
            targets.resize(numbers.size() * target_width);
            const Tiling tiles = network.input_tiling(samples);
            input.resize(tiles.size(network.input_shape().size()));
            dataset.assemble(split, numbers, tiles, input.data(), targets.data());
            NetworkStep step;
            step.tiling.samples = step.global_samples = samples;
            step.slices = {{0, samples, input.data()}};
            network.reserve(samples);
            network.forward(step);
            const real* const values = network.output();
            const Tiling tiling = network.output_tiling(samples);
            if (outputs) append_outputs(tiling, network.outputs(), values, *outputs);
            if (!dataset.has_targets()) continue;
            const LossSums sums = loss.evaluate(tiling, network.outputs(), values, targets.data(),
                                                dataset.target_width(), samples, nullptr);
            sum += sums.loss;
            correct += sums.correct;
            if (metrics) metrics->add(tiling, values, targets.data());
        }
        rows.insert(rows.end(), {sum, static_cast<double>(correct)});
    }
    std::array<double, 2> totals{};
    slices.finish(slices.start_sum(rows), totals);
    if (!dataset.has_targets()) return result;
    const auto count = static_cast<double>(result.samples);
    result.loss = totals[0] / count;
    if (loss.classifies(network.outputs(), dataset.target_width())) result.accuracy = totals[1] / count;
    return result;
}

void require_finite(const Evaluation& evaluation, const std::string& split) {
    if (evaluation.samples == 0 || std::isfinite(evaluation.loss)) return;
    input_error(
        "the ", split, " loss is ", evaluation.loss, " over ", evaluation.samples,
        " samples: the network overflows on them. Look for inputs far larger than those of the training samples, "
        "set data.normalization to measured, or lower optimizer.learning_rate and train again");
}

}  // namespace pruntrain
