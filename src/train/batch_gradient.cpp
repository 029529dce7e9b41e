#include "pruntrain/train/batch_gradient.hpp"

namespace pruntrain {

void find_batch_gradient(Network& network, const Loss& loss, const Dataset& dataset, const Sampler& sampler,
                         index_t number, std::span<real> gradients) {
    const BatchPart whole = sampler.part(number, 0, 1);
    std::vector<index_t> numbers;
    sampler.draw(number, whole, numbers);
    NetworkStep step;
    step.tiling.samples = step.global_samples = whole.samples;
    step.terms = {{{0, 1}, gradients.data()}};
    std::vector<float> targets(static_cast<std::size_t>(whole.samples * dataset.target_width()));
    network.reserve(whole.samples);
    dataset.assemble(Split::train, numbers, network.input_tiling(whole.samples), network.input(), targets.data());
    network.forward(step);
    loss.evaluate(network.output_tiling(whole.samples), network.outputs(), network.output(), targets.data(),
                  dataset.target_width(), whole.samples, network.output_gradient());
    for (std::size_t layer = network.layer_count(); layer-- > 0;) network.backward(step, layer);
}

Sampler sampler_of(const MicroBatches& micro_batches, const Dataset& dataset, std::uint64_t seed) {
    const index_t samples = dataset.samples(Split::train);
    return {samples - samples % micro_batches.samples, micro_batches.samples, seed};
}

}  // namespace pruntrain
