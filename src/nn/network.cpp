#include "pruntrain/nn/network.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/random.hpp"
#include "pruntrain/config/choose.hpp"

namespace pruntrain {

Network::Network(const std::vector<Config>& model, const Shape& input) : input_(input) {
    std::map<std::string, int> counts;
    std::set<std::string> names;
    Shape shape = input;
    activation_of_.reserve(model.size());
    std::size_t activations = 1;
    for (const auto& entry : model) {
        const std::string type = entry.choice("layer", std::nullopt, layers().names(), "type of the layer");
        const std::string name =
            entry.word("name", text(type, ++counts[type]), "name of the layer in tables and files");
        if (name.empty() || name.find_first_of("/. ") != std::string::npos)
            input_error(entry.place_of("name"), " is '", name, "': a name has no slash, dot or space");
        if (!names.insert(name).second) input_error("two layers of the model have the name '", name, "'");
        const auto number = static_cast<std::uint32_t>(layers_.size());
        layers_.push_back(layers().find(type)(entry, {name, number, shape}));
        shape = layers_.back()->output_shape();
        if (!layers_.back()->in_place()) ++activations;
        activation_of_.push_back(activations - 1);
    }
    if (layers_.empty()) input_error("the model has no layers");

    weight_number_t number = 0;
    for (const auto& layer : layers_)
        for (auto* parameter : layer->parameters()) {
            parameter->layer = layer->name();
            parameter->first_number = number;
            number += static_cast<weight_number_t>(parameter->pattern.dense_size());
            parameters_.push_back(parameter);
        }
    if (parameters_.empty()) input_error("the model has no layer with weights: nothing can be trained");
    while (layers_[first_trained_]->parameters().empty()) ++first_trained_;
    arena_ = std::make_unique<Arena>(std::vector<Parameter*>(parameters_.rbegin(), parameters_.rend()));
    activations_.resize(activations);
}

void Network::describe(const Config& entry) {
    entry.choice("layer", std::nullopt, layers().names(), "type of the layer");
    entry.word("name", "TYPE1", "name of the layer in tables and files");
    describe_members(layers(), entry, "layer", LayerPlace{"name", 0, {}});
}

std::vector<std::pair<Layer*, Statistic*>> Network::statistics() {
    std::vector<std::pair<Layer*, Statistic*>> all;
    for (const auto& layer : layers_)
        for (auto* statistic : layer->statistics()) all.emplace_back(layer.get(), statistic);
    return all;
}

void Network::initialize(std::uint64_t seed) {
    const RandomStream random(seed, Purpose::initial_weight);
    for (auto* parameter : parameters_) {
        const auto fan_in = static_cast<double>(parameter->fan_in), fan_out = static_cast<double>(parameter->fan_out);
        const auto normal = [&](weight_number_t n, double deviation) { return deviation * random.normal(n); };
        const auto uniform = [&](weight_number_t n, double limit) { return limit * (2 * random.uniform(n) - 1); };
        const auto positions = parameter->pattern.dense_positions();
        for (std::size_t k = 0; k < positions.size(); ++k) {
            const weight_number_t n = parameter->first_number + static_cast<weight_number_t>(positions[k]);
            double value = 0;
            switch (parameter->initializer) {
                case Initializer::zeros:
                    value = 0;
                    break;
                case Initializer::ones:
                    value = 1;
                    break;
                case Initializer::he_normal:
                    value = normal(n, std::sqrt(2 / fan_in));
                    break;
                case Initializer::he_uniform:
                    value = uniform(n, std::sqrt(6 / fan_in));
                    break;
                case Initializer::glorot_normal:
                    value = normal(n, std::sqrt(2 / (fan_in + fan_out)));
                    break;
                case Initializer::glorot_uniform:
                    value = uniform(n, std::sqrt(6 / (fan_in + fan_out)));
                    break;
            }
            parameter->value[k] = static_cast<real>(value);
        }
    }
}

void Network::reserve(const Tiling& largest) {
    const auto grow = [&](AlignedVector<real>& array, index_t size) {
        if (static_cast<index_t>(array.size()) < size) array.resize(static_cast<std::size_t>(size));
    };
    index_t widest = input_.size(), workspace = 0;
    grow(activations_[0], largest.size(input_.size()));
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        const index_t features = layers_[i]->output_shape().size();
        widest = std::max(widest, features);
        grow(activations_[activation_of_[i]], largest.size(features));
        workspace = std::max(workspace, layers_[i]->workspace_size(largest.width));
    }
    for (auto& gradient : gradients_) grow(gradient, largest.size(widest));
    grow(workspace_, workspace);
}

std::size_t Network::activation_bytes(const Tiling& tiling) const {
    index_t numbers = tiling.size(input_.size()), widest = input_.size(), workspace = 0;
    std::size_t held = 0;
    for (const auto& layer : layers_) {
        const index_t features = layer->output_shape().size();
        if (!layer->in_place()) numbers += tiling.size(features);
        widest = std::max(widest, features);
        workspace = std::max(workspace, layer->workspace_size(tiling.width));
        held += layer->held_bytes(tiling);
    }
    return static_cast<std::size_t>(numbers + 2 * tiling.size(widest) + workspace) * sizeof(real) + held;
}

const real* Network::forward(const StepContext& step) {
    reserve(step.tiling);
    for (std::size_t i = 0; i < layers_.size(); ++i) forward(step, i);
    return output();
}

void Network::forward(const StepContext& step, std::size_t number) {
    const std::size_t from = number == 0 ? 0 : activation_of_[number - 1];
    layers_[number]->forward(step, activations_[from].data(), activations_[activation_of_[number]].data(), workspace_);
}

void Network::backward(const StepContext& step, std::size_t number) {
    if (number < first_trained_) return;
    Layer& layer = *layers_[number];
    const std::size_t from = number == 0 ? 0 : activation_of_[number - 1];
    if (number + 1 == layers_.size()) current_gradient_ = 0;
    real* const dy = gradients_[current_gradient_].data();
    if (!layer.in_place()) current_gradient_ = 1 - current_gradient_;
    real* const dx = needs_input_gradient(number) ? gradients_[current_gradient_].data() : nullptr;
    layer.backward(step, activations_[from].data(), activations_[activation_of_[number]].data(), dy, dx, workspace_);
}

void Network::rehearse(const StepContext& step, std::size_t number) {
    reserve(step.tiling);
    Layer& layer = *layers_[number];
    real* const x = activations_[number == 0 ? 0 : activation_of_[number - 1]].data();
    real* const y = activations_[activation_of_[number]].data();
    layer.forward(step, x, y, workspace_);
    layer.backward(step, x, y, gradients_[0].data(),
                   needs_input_gradient(number) ? gradients_[layer.in_place() ? 0 : 1].data() : nullptr, workspace_);
}

index_t Network::finished(std::size_t number) const {
    index_t end = 0;
    for (std::size_t i = number; i < layers_.size(); ++i)
        for (const auto* parameter : layers_[i]->parameters()) end += parameter->pattern.kept();
    return end;
}

}  // namespace pruntrain
