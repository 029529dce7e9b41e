#include "pruntrain/train/micro_batch_gradient.hpp"

namespace pruntrain {

void find_batch_gradient(Experiment& experiment, const Sampler& sampler, index_t number, std::span<real> gradients) {
    Network& network = experiment.model.network();
    const Dataset& dataset = experiment.dataset;
    const BatchPart whole = sampler.part(number, 0, 1);
    std::vector<index_t> indices;
    sampler.draw(number, whole, indices);
    const Tiling tiling = network.input_tiling(whole.samples);
    AlignedVector<real> input(tiling.size(network.input_shape().size()));
    std::vector<float> targets(whole.samples * dataset.target_width());
    dataset.assemble(Split::train, indices, tiling, input.data(), targets.data());
    NetworkStep step;
    step.tiling.samples = step.global_samples = whole.samples;
    step.slices = {{0, whole.samples, input.data()}};
    step.terms = {{{0, 1}, gradients.data()}};
    network.reserve(whole.samples);
    network.forward(step);
    experiment.loss->evaluate(network.output_tiling(whole.samples), network.outputs(), network.output(), targets.data(),
                              dataset.target_width(), whole.samples, network.output_gradient());
    network.backward(step);
}

Sampler sampler_of(const MicroBatches& micro_batches, const Experiment& experiment) {
    const index_t samples = experiment.dataset.samples(Split::train);
    return {samples - samples % micro_batches.samples, micro_batches.samples, experiment.settings.seed};
}

}  // namespace pruntrain
