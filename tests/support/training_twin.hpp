// The loss of a dense network with relu between its layers, and its gradients, sample by sample and in double.
#pragma once

#include <cmath>

#include "training.hpp"

namespace pruntrain::test {

struct TwinSums {
    double loss = 0;  ///< of all samples of the batch
    double correct = 0;
    std::vector<double> gradients;  ///< of the mean loss, by the number of the weight
};

/// @param widths       inputs, hidden units, outputs
/// @param weights      by number: weight (outputs, inputs) and bias of the first layer, then of the second
/// @param temperature  the outputs are divided by it
inline TwinSums twin_sums(const Dataset& dataset, const Sampler& sampler, index_t batch, std::array<index_t, 3> widths,
                          const std::vector<real>& weights, double temperature = 1) {
    const auto [inputs, hidden, outputs] = widths;
    const index_t bias1 = inputs * hidden, weight2 = bias1 + hidden, bias2 = weight2 + hidden * outputs;
    TwinSums sums;
    sums.gradients.assign(weights.size(), 0.0);
    std::vector<index_t> indices;
    sampler.draw(batch, sampler.part(batch, 0, 1), indices);
    for (const index_t index : indices) {
        std::vector<real> x(static_cast<std::size_t>(inputs) * 8);  // one sample in a tile of 8
        std::vector<float> target(1);
        dataset.assemble(Split::train, std::span(&index, 1), {1, 8}, x.data(), target.data());
        std::vector<double> unit(static_cast<std::size_t>(hidden)), output(static_cast<std::size_t>(outputs));
        for (index_t j = 0; j < hidden; ++j) {
            unit[j] = weights[bias1 + j];
            for (index_t i = 0; i < inputs; ++i) unit[j] += double{weights[j * inputs + i]} * x[i * 8];
            unit[j] = std::max(unit[j], 0.0);
        }
        for (index_t o = 0; o < outputs; ++o) {
            output[o] = weights[bias2 + o];
            for (index_t j = 0; j < hidden; ++j) output[o] += weights[weight2 + o * hidden + j] * unit[j];
            output[o] /= temperature;
        }
        double all = 0;
        for (const double one : output) all += std::exp(one);
        const auto label = static_cast<std::size_t>(target[0]);
        sums.loss += std::log(all) - output[label];
        sums.correct += static_cast<std::size_t>(std::ranges::max_element(output) - output.begin()) == label;
        for (index_t o = 0; o < outputs; ++o) {
            const double slope = (std::exp(output[o]) / all - (static_cast<std::size_t>(o) == label ? 1 : 0)) /
                                 temperature / static_cast<double>(indices.size());
            sums.gradients[bias2 + o] += slope;
            for (index_t j = 0; j < hidden; ++j) {
                sums.gradients[weight2 + o * hidden + j] += slope * unit[j];
                if (unit[j] == 0) continue;
                const double below = slope * weights[weight2 + o * hidden + j];
                sums.gradients[bias1 + j] += below;
                for (index_t i = 0; i < inputs; ++i) sums.gradients[j * inputs + i] += below * x[i * 8];
            }
        }
    }
    return sums;
}

/// Of the network of `dense_layers`, with its present weights. Collective over the shards.
inline TwinSums twin_sums(Training& training, index_t batch, double temperature = 1) {
    const std::vector<real> weights =
        by_number(training.arena(), training.arena().values(), training.experiment.grid.shards());
    return twin_sums(training.experiment.dataset, training.experiment.sampler, batch, {5, 7, 3}, weights, temperature);
}

}  // namespace pruntrain::test
