// One layer on a bench: its parameters, arrays and a step, for tests of layers alone.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/random.hpp"
#include "pruntrain/model/arena.hpp"
#include "pruntrain/model/layer.hpp"

namespace pruntrain {

inline Config config_of(const std::string& yaml) { return Config::parse(yaml, "test.yaml", {}); }

inline std::unique_ptr<Layer> make_layer(const std::string& yaml, const Shape& input, std::uint32_t number = 0) {
    const Config config = config_of(yaml);
    const std::string type = config.word("layer", std::nullopt, "type of the layer");
    return layers().find(type)(config, {text(type, 1), number, input});
}

inline std::vector<real> random_numbers(index_t count, std::uint32_t stream) {
    const RandomStream random(1, Purpose::test, stream);
    std::vector<real> all(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<real>(random.normal(i));
    return all;
}

/// -3 .. 3: sums of products of these are exact in float, so that kernel and twin must agree to the bit.
inline std::vector<real> whole_numbers(index_t count, std::uint32_t stream) {
    const RandomStream random(1, Purpose::test, stream);
    std::vector<real> all(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < all.size(); ++i)
        all[i] = static_cast<real>(static_cast<int>(random.bits(i)[0] % 7) - 3);
    return all;
}

/// Where a feature of a sample stands in an array of `features` numbers a sample.
inline std::size_t place_of(const Tiling& tiling, index_t features, index_t feature, index_t sample) {
    return static_cast<std::size_t>((sample / tiling.width * features + feature) * tiling.width +
                                    sample % tiling.width);
}

/// Sets the padding lanes of an array of `features` numbers a sample.
inline void fill_padding(const Tiling& tiling, index_t features, real value, std::vector<real>& all) {
    for (index_t sample = tiling.samples; sample < tiling.tiles() * tiling.width; ++sample)
        for (index_t feature = 0; feature < features; ++feature)
            all[place_of(tiling, features, feature, sample)] = value;
}

struct LayerBench {
    LayerBench(const std::string& yaml, const Shape& input, const Tiling& tiling, std::uint32_t number = 0)
        : layer(make_layer(yaml, input, number)),
          x(static_cast<std::size_t>(tiling.size(input.size()))),
          y(static_cast<std::size_t>(tiling.size(layer->output_shape().size()))),
          dy(y.size()),
          dx(x.size()),
          workspace(static_cast<std::size_t>(layer->workspace_size(tiling.width))) {
        arena = std::make_unique<Arena>(layer->parameters());
        step.training = true;
        step.seed = 1;
        step.tiling = tiling;
        step.global_samples = std::max<index_t>(1, tiling.samples);
    }

    void forward() {
        if (in_place()) y = x;
        if (step.training && layer->batch_sums() > 0) {
            own_sums.resize(static_cast<std::size_t>(layer->batch_sums()));
            layer->forward_sums(step, x.data(), own_sums);
            layer->take_forward_sums(step, over_batch(own_sums));
        }
        layer->forward(step, in_place() ? y.data() : x.data(), y.data(), workspace);
    }

    /// After `forward`. Padding lanes of dy are set to 0, as the layer behind would.
    void backward() {
        fill_padding(step.tiling, outputs(), 0, dy);
        if (in_place()) dx = dy;
        if (layer->batch_sums() > 0) {
            own_sums.resize(static_cast<std::size_t>(layer->batch_sums()));
            layer->backward_sums(step, x.data(), dy.data(), own_sums);
            step.own_sums = own_sums;
            step.global_sums = over_batch(own_sums);
        }
        backward(in_place() ? y.data() : x.data(), in_place() ? dx.data() : dy.data(), dx.data());
    }
    /// The layer's backward alone.
    void backward(const real* x_of_step, const real* dy_of_step, real* dx_of_step) {
        std::vector<std::span<real>> gradients;
        for (const auto* parameter : layer->parameters()) gradients.push_back(parameter->gradient);
        layer->backward(step, x_of_step, y.data(), dy_of_step, dx_of_step, gradients, workspace);
    }

    bool in_place() const { return layer->in_place() != InPlace::never; }

    index_t inputs() const { return layer->input_shape().size(); }
    index_t outputs() const { return layer->output_shape().size(); }
    real& x_of(index_t feature, index_t sample) { return x[place_of(step.tiling, inputs(), feature, sample)]; }
    real& y_of(index_t feature, index_t sample) { return y[place_of(step.tiling, outputs(), feature, sample)]; }
    real& dy_of(index_t feature, index_t sample) { return dy[place_of(step.tiling, outputs(), feature, sample)]; }
    real& dx_of(index_t feature, index_t sample) { return dx[place_of(step.tiling, inputs(), feature, sample)]; }

    std::unique_ptr<Layer> layer;
    std::unique_ptr<Arena> arena;
    std::vector<real> x, y, dy, dx, workspace;
    std::vector<double> own_sums;
    /// Adds the other slices' sums: the bench has the whole batch unless a test says otherwise.
    std::function<std::span<const double>(std::span<const double>)> over_batch = [](auto own) { return own; };
    StepContext step;
};

}  // namespace pruntrain
