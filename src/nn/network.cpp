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
    std::size_t activations = 1;
    bool flat = false, after_relu = false;
    for (const auto& entry : model) {
        const std::string type = entry.choice("layer", std::nullopt, layers().names(), "type of the layer");
        const std::string name =
            entry.word("name", text(type, ++counts[type]), "name of the layer in tables and files");
        if (name.empty() || name.find_first_of("/. ") != std::string::npos)
            input_error(entry.place_of("name"), " is '", name, "': a name has no slash, dot or space");
        if (!names.insert(name).second) input_error("two layers of the model have the name '", name, "'");
        const auto number = static_cast<std::uint32_t>(layers_.size());
        layers_.push_back(layers().find(type)(entry, {name, number, shape}));
        const Layer& layer = *layers_.back();
        if (!flat && (shape.flat() || (layer.in_place() && layer.output_shape().flat()))) {
            flat = true;
            first_flat_ = number;
            if (number > 0) ++activations;
        }
        if (after_relu && layers_.back()->take_over_relu()) taken_over_.back() = true;
        taken_over_.push_back(false);
        after_relu = type == "relu";
        shape = layer.output_shape();
        input_of_.push_back(activations - 1);
        if (!layer.in_place()) ++activations;
        activation_of_.push_back(activations - 1);
    }
    if (layers_.empty()) input_error("the model has no layers");
    if (!flat) first_flat_ = layers_.size();

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

void Network::set_tile_widths(const TileWidths& widths) { widths_ = widths; }

StepContext Network::step_of(const StepContext& step, std::size_t layer) const {
    StepContext own = step;
    own.tiling = tiling(layer, step.tiling.samples);
    return own;
}

index_t Network::gradient_size(index_t samples) const {
    index_t largest = 0;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        const Tiling own = tiling(i, samples);
        largest = std::max(
            {largest, own.size(layers_[i]->input_shape().size()), own.size(layers_[i]->output_shape().size())});
    }
    return largest;
}

index_t Network::workspace_size() const {
    index_t size = 0;
    for (std::size_t i = 0; i < layers_.size(); ++i)
        size = std::max(size, layers_[i]->workspace_size(tiling(i, 0).width));
    return size;
}

void Network::reserve(index_t samples) {
    const auto grow = [](AlignedVector<real>& array, index_t size) {
        if (static_cast<index_t>(array.size()) < size) array.resize(static_cast<std::size_t>(size));
    };
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        const Tiling own = tiling(i, samples);
        grow(activations_[input_of_[i]], own.size(layers_[i]->input_shape().size()));
        grow(activations_[activation_of_[i]], own.size(layers_[i]->output_shape().size()));
    }
    for (auto& gradient : gradients_) grow(gradient, gradient_size(samples));
    grow(workspace_, workspace_size());
}

std::size_t Network::activation_bytes(index_t samples) const {
    index_t numbers = input_tiling(samples).size(input_.size());
    std::size_t held = 0;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        const Tiling own = tiling(i, samples);
        if (retiles(i)) numbers += own.size(layers_[i]->input_shape().size());
        if (!layers_[i]->in_place()) numbers += own.size(layers_[i]->output_shape().size());
        held += layers_[i]->held_bytes(own);
    }
    return static_cast<std::size_t>(numbers + 2 * gradient_size(samples) + workspace_size()) * sizeof(real) + held;
}

const real* Network::forward(const StepContext& step) {
    reserve(step.tiling.samples);
    for (std::size_t i = 0; i < layers_.size(); ++i) forward(step, i);
    return output();
}

void Network::forward(const StepContext& step, std::size_t number) {
    Layer& layer = *layers_[number];
    const StepContext own = step_of(step, number);
    real* const x = activations_[input_of_[number]].data();
    if (retiles(number))
        retile(layer.input_shape().size(), tiling(number - 1, own.tiling.samples),
               activations_[activation_of_[number - 1]].data(), own.tiling.width, x);
    if (!taken_over_[number]) layer.forward(own, x, activations_[activation_of_[number]].data(), workspace_);
}

void Network::backward(const StepContext& step, std::size_t number) {
    if (number < first_trained_) return;
    Layer& layer = *layers_[number];
    const StepContext own = step_of(step, number);
    if (number + 1 == layers_.size()) current_gradient_ = 0;
    real* const dy = gradients_[current_gradient_].data();
    if (!layer.in_place()) current_gradient_ = 1 - current_gradient_;
    real* const dx = needs_input_gradient(number) ? gradients_[current_gradient_].data() : nullptr;
    if (!taken_over_[number])
        layer.backward(own, activations_[input_of_[number]].data(), activations_[activation_of_[number]].data(), dy, dx,
                       workspace_);
    if (retiles(number) && dx != nullptr) {
        current_gradient_ = 1 - current_gradient_;
        retile(layer.input_shape().size(), own.tiling, dx, tiling(number - 1, own.tiling.samples).width,
               gradients_[current_gradient_].data());
    }
}

void Network::rehearse(const StepContext& step, std::size_t number) {
    reserve(step.tiling.samples);
    Layer& layer = *layers_[number];
    const StepContext own = step_of(step, number);
    real* const x = activations_[input_of_[number]].data();
    real* const y = activations_[activation_of_[number]].data();
    layer.forward(own, x, y, workspace_);
    layer.backward(own, x, y, gradients_[0].data(),
                   needs_input_gradient(number) ? gradients_[layer.in_place() ? 0 : 1].data() : nullptr, workspace_);
}

index_t Network::finished(std::size_t number) const {
    index_t end = 0;
    for (std::size_t i = number; i < layers_.size(); ++i)
        for (const auto* parameter : layers_[i]->parameters()) end += parameter->pattern.kept();
    return end;
}

}  // namespace pruntrain
