// Network: names, numbers, order, first values, errors.
#include <doctest/doctest.h>

#include <cmath>

#include "../support/layer_bench.hpp"
#include "pruntrain/model/network.hpp"

using namespace pruntrain;

namespace {

std::vector<Config> model(const std::string& layers) { return config_of("model: [" + layers + "]").list("model"); }

const std::string small_model =
    "{layer: conv2d, channels: 4, kernel: 3}, {layer: batch_norm}, {layer: relu}, {layer: max_pool2d}, "
    "{layer: flatten}, {layer: dropout}, {layer: dense, units: 6, name: hidden}, {layer: relu}, "
    "{layer: dense, units: 3, bias: false}";

}  // namespace

TEST_CASE("network: parameters are named and numbered from the first layer to the last") {
    Network network(model(small_model), {2, 6, 6});
    std::vector<std::string> names;
    weight_number_t number = 0;
    for (const auto* parameter : network.parameters()) {
        names.push_back(parameter->full_name());
        CHECK(parameter->first_number == number);
        number += static_cast<weight_number_t>(parameter->pattern.dense_size());
    }
    CHECK(names == std::vector<std::string>{"conv2d1.weight", "conv2d1.bias", "batch_norm1.scale", "batch_norm1.shift",
                                            "hidden.weight", "hidden.bias", "dense2.weight"});
    CHECK(network.parameters()[0]->tensor_shape == std::vector<index_t>{4, 2, 3, 3});
    CHECK(network.outputs() == 3);
    CHECK(network.arena().size() == static_cast<index_t>(number));
    CHECK(network.statistics().size() == 2);
    CHECK(network.statistics()[1].first->name() == "batch_norm1");
    CHECK(network.statistics()[1].second->name == "running_variance");
    CHECK(network.layer(7).name() == "relu2");
}

TEST_CASE("network: only weights are prunable and decayed") {
    Network network(model(small_model + ", {layer: dense, units: 2, prunable: false}"), {2, 6, 6});
    for (const auto* parameter : network.parameters()) {
        const bool weight = parameter->name == "weight";
        CHECK(parameter->decayed == weight);
        CHECK(parameter->prunable == (weight && parameter->layer != "dense3"));
    }
}

TEST_CASE("network: what finished() promises is complete, and all that came before") {
    Network network(model(small_model), {2, 6, 6});
    network.initialize(1);
    auto& arena = network.arena();
    NetworkStep step;
    step.training = true;
    step.tiling = {5, 8};
    step.global_samples = 5;
    network.reserve(5);
    for (std::size_t i = 0; i < static_cast<std::size_t>(step.tiling.size(72)); ++i)
        network.input()[i] = static_cast<real>(std::sin(static_cast<double>(i)));
    network.forward(step);
    std::fill_n(network.output_gradient(), step.tiling.size(3), real{0.5});
    constexpr real untouched = -12345;
    std::fill(arena.gradients().begin(), arena.gradients().end(), untouched);
    index_t previous = 0;
    for (std::size_t layer = network.layer_count(); layer-- > 0;) {
        network.backward(step, layer);
        const index_t finished = network.finished(layer);
        index_t own = 0;
        for (const auto* parameter : network.layer(layer).parameters()) own += parameter->pattern.kept();
        CHECK(finished == previous + own);
        for (index_t i = 0; i < arena.size(); ++i) CHECK((arena.gradients()[i] == untouched) == (i >= finished));
        previous = finished;
    }
    CHECK(previous == arena.size());
}

TEST_CASE("network: layer by layer is the same forward, and layers before the first trained one have no backward") {
    Network network(model("{layer: dropout, rate: 0.5}, {layer: flatten}, "
                          "{layer: dense, units: 4}, {layer: relu}, {layer: dense, units: 3}"),
                    {2, 3, 3});
    network.initialize(1);
    NetworkStep step;
    step.training = true;
    step.tiling = {5, 8};
    step.global_samples = 5;
    network.reserve(5);
    const std::vector<real> input = random_numbers(step.tiling.size(18), 1);
    const auto run = [&](bool by_layers) {
        std::copy(input.begin(), input.end(), network.input());
        if (by_layers)
            for (std::size_t layer = 0; layer < network.layer_count(); ++layer) network.forward(step, layer);
        else network.forward(step);
        return std::vector<real>(network.output(), network.output() + step.tiling.size(3));
    };
    CHECK(run(false) == run(true));
    for (std::size_t layer = 0; layer < network.layer_count(); ++layer)
        CHECK(network.needs_input_gradient(layer) == (layer > 2));

    // Backward of all layers is backward of the trained ones, and may be run again.
    std::vector<std::vector<real>> gradients;
    for (int repetition = 0; repetition < 2; ++repetition) {
        std::fill_n(network.output_gradient(), step.tiling.size(3), real{0.5});
        for (std::size_t layer = network.layer_count(); layer-- > (repetition == 0 ? 0U : 2U);)
            network.backward(step, layer);
        gradients.emplace_back(network.arena().gradients().begin(), network.arena().gradients().end());
    }
    CHECK(gradients[0] == gradients[1]);
    CHECK(std::any_of(gradients[0].begin(), gradients[0].end(), [](real g) { return g != 0; }));
}

TEST_CASE("network: first values have the deviation of their initializer, and limits where uniform") {
    struct Sample {
        const char* name;
        double deviation;  // fan_in 200, fan_out 300
        double limit;
    };
    for (const auto& sample : {Sample{"he_normal", std::sqrt(2.0 / 200), 1e9},
                               Sample{"he_uniform", std::sqrt(2.0 / 200), std::sqrt(6.0 / 200)},
                               Sample{"glorot_normal", std::sqrt(2.0 / 500), 1e9},
                               Sample{"glorot_uniform", std::sqrt(2.0 / 500), std::sqrt(6.0 / 500)}}) {
        Network network(model(text("{layer: dense, units: 300, initializer: ", sample.name, "}")), {200, 1, 1});
        network.initialize(7);
        double sum = 0, squares = 0;
        for (const real value : network.parameters()[0]->value) {
            sum += value;
            squares += static_cast<double>(value) * value;
            CHECK(std::abs(value) <= sample.limit * 1.000001);  // rounding to float
        }
        constexpr double count = 60000;  // five deviations of mean and variance of so many
        CHECK(std::abs(sum / count) < 5 * sample.deviation / std::sqrt(count));
        CHECK(std::abs(std::sqrt(squares / count) / sample.deviation - 1) < 5 * std::sqrt(0.5 / count));
        for (const real value : network.parameters()[1]->value) CHECK(value == 0);
    }
}

TEST_CASE("network: fans of a convolution count its window") {
    Network network(model("{layer: conv2d, channels: 5, kernel: 3}"), {2, 6, 6});
    CHECK(network.parameters()[0]->fan_in == 18);
    CHECK(network.parameters()[0]->fan_out == 45);
}

TEST_CASE("network: first values depend on seed and weight number, not on what is pruned") {
    Network whole(model("{layer: dense, units: 8}, {layer: dense, units: 9}"), {7, 1, 1});
    Network pruned(model("{layer: dense, units: 8}, {layer: dense, units: 9}"), {7, 1, 1});
    std::vector<std::vector<std::uint8_t>> keep(4);  // of each layer weight and bias
    for (std::size_t k = 0; k < 72; ++k) keep[2].push_back(k % 3 == 0 ? 1 : 0);
    pruned.arena().keep(keep);
    whole.initialize(3);
    pruned.initialize(3);
    const auto* all = whole.parameters()[2];
    const auto* few = pruned.parameters()[2];
    const auto positions = few->pattern.dense_positions();
    REQUIRE(positions.size() == 24);
    for (std::size_t k = 0; k < positions.size(); ++k)
        CHECK(few->value[k] == all->value[static_cast<std::size_t>(positions[k])]);
    const std::vector<real> first(all->value.begin(), all->value.end());
    whole.initialize(4);
    CHECK(first != std::vector<real>(all->value.begin(), all->value.end()));
}

TEST_CASE("network: a max_pool2d behind a relu does the work of both") {
    const Shape image{2, 6, 6};
    const Tiling tiling{11, 8};
    LayerBench relu("{layer: relu}", image, tiling), pool("{layer: max_pool2d, kernel: 2}", image, tiling);
    relu.x = random_numbers(tiling.size(image.size()), 1);
    pool.dy = random_numbers(tiling.size(18), 2);
    fill_padding(tiling, 18, 0, pool.dy);
    relu.forward();
    pool.x = relu.y;
    pool.forward();
    pool.backward();
    relu.dy = pool.dx;
    relu.backward();

    // A layer with a weight in front, which passes its input on: backward goes as far as the first weight.
    Network network(model("{layer: conv2d, channels: 2, kernel: 1, bias: false, prunable: false}, {layer: relu}, "
                          "{layer: max_pool2d, kernel: 2}"),
                    image);
    network.arena().values()[0] = network.arena().values()[3] = 1;
    network.arena().values()[1] = network.arena().values()[2] = 0;
    NetworkStep step;
    step.training = true;
    step.tiling.samples = step.global_samples = 11;
    network.reserve(11);
    std::copy(relu.x.begin(), relu.x.end(), network.input());
    network.forward(step);
    CHECK(std::vector<real>(network.output(), network.output() + tiling.size(18)) == pool.y);
    std::copy(pool.dy.begin(), pool.dy.end(), network.output_gradient());
    network.backward(step);
    for (const index_t out : {0, 1})
        for (const index_t in : {0, 1}) {  // the weight gradient is the product of x and the gradient behind the conv
            real expected = 0, magnitude = 0;
            for (index_t sample = 0; sample < 11; ++sample)
                for (index_t pixel = 0; pixel < 36; ++pixel) {
                    const real term = relu.dx[place_of(tiling, 72, out * 36 + pixel, sample)] *
                                      relu.x[place_of(tiling, 72, in * 36 + pixel, sample)];
                    expected += term;
                    magnitude += std::abs(term);
                }
            CHECK(std::abs(network.arena().gradients()[out * 2 + in] - expected) <= 1e-5 * magnitude);
        }
}

TEST_CASE("network: slices are computed by themselves, and their gradients added as the tree says") {
    const std::vector<Slice> slices{{0, 9}, {9, 0}, {9, 10}, {19, 1}, {20, 9}};
    constexpr index_t samples = 29, most = 10;
    const auto x = random_numbers(samples * 72, 1), slopes = random_numbers(samples * 3, 2);
    Network network(model(small_model), {2, 6, 6});
    NetworkStep step;
    step.training = true;
    step.seed = 3;
    step.global_samples = samples;
    network.set_tile_widths({8, 16});

    // Runs a step of these slices. @return the gradients of each term
    const auto run = [&](const std::vector<Slice>& own, const std::vector<TreeNode>& nodes) {
        network.initialize(1);
        step.slices = own;
        network.reserve(own.size() == 1 ? samples : most, static_cast<index_t>(own.size()));
        const auto for_each_sample = [&](auto work) {
            for (std::size_t i = 0; i < own.size(); ++i)
                for (index_t sample = 0; sample < own[i].samples; ++sample) work(static_cast<index_t>(i), sample);
        };
        for_each_sample([&](index_t slice, index_t sample) {
            const Slice& of = own[static_cast<std::size_t>(slice)];
            for (index_t f = 0; f < 72; ++f)
                network.input(slice)[place_of(network.input_tiling(of.samples), 72, f, sample)] =
                    x[static_cast<std::size_t>((of.first + sample) * 72 + f)];
        });
        for (std::size_t layer = 0; layer < network.layer_count(); ++layer) network.forward(step, layer);
        for (std::size_t i = 0; i < own.size(); ++i)
            std::fill_n(network.output_gradient(static_cast<index_t>(i)), network.output_tiling(own[i].samples).size(3),
                        real{0});
        for_each_sample([&](index_t slice, index_t sample) {
            const Slice& of = own[static_cast<std::size_t>(slice)];
            for (index_t f = 0; f < 3; ++f)
                network.output_gradient(slice)[place_of(network.output_tiling(of.samples), 3, f, sample)] =
                    slopes[static_cast<std::size_t>((of.first + sample) * 3 + f)];
        });
        std::vector<std::vector<real>> gradients(nodes.size());
        step.terms.clear();
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            gradients[i].resize(static_cast<std::size_t>(network.arena().size()));
            step.terms.push_back({nodes[i], gradients[i].data()});
        }
        network.backward(step);
        if (nodes.empty())
            gradients.emplace_back(network.arena().gradients().begin(), network.arena().gradients().end());
        return gradients;
    };

    // As on one rank: rows of sums are added in the order of the tree.
    step.sum_over_slices = [](std::span<const double> rows, std::span<double> totals) {
        std::vector<double> sums(rows.begin(), rows.end());
        std::vector<TreeNode> nodes;
        for (std::size_t i = 0; i < rows.size() / totals.size(); ++i) nodes.push_back({static_cast<index_t>(i), 1});
        for (const auto& [into, from] : reduce_terms(nodes, static_cast<index_t>(nodes.size())).additions)
            for (std::size_t k = 0; k < totals.size(); ++k)
                sums[into * totals.size() + k] += sums[from * totals.size() + k];
        std::copy_n(sums.begin(), totals.size(), totals.begin());
    };
    const auto whole = run({{0, samples}}, {}).front();
    const auto root = run(slices, {{0, 5}}).front();
    real largest = 0;
    for (const real gradient : whole) largest = std::max(largest, std::abs(gradient));
    for (std::size_t i = 0; i < root.size(); ++i) CHECK(std::abs(root[i] - whole[i]) <= 1e-5 * largest);

    for (const auto& nodes : {std::vector<TreeNode>{{0, 4}, {4, 1}},
                              {{0, 1}, {1, 1}, {2, 2}, {4, 1}},
                              {{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}}}) {
        auto terms = run(slices, nodes);
        for (const auto& [into, from] : reduce_terms(nodes, 5).additions)
            for (std::size_t k = 0; k < root.size(); ++k) terms[into][k] += terms[from][k];
        CHECK(terms[0] == root);
    }
}

TEST_CASE("network: memory is counted with layers that work in place counted once") {
    Network network(model(small_model), {2, 6, 6});
    const Tiling tiling{20, 8};  // as a network has it at first
    const index_t activations =
        72 + 64 + 64 + 16 + 16 + 6 + 3;  // input, conv, batch_norm, max_pool, its copy, dense, dense
    std::size_t held = 0;
    index_t workspace = 0;
    for (std::size_t layer = 0; layer < network.layer_count(); ++layer) {
        held += network.layer(layer).held_bytes(tiling);
        workspace = std::max(workspace, network.layer(layer).workspace_size(8));
    }
    CHECK(network.activation_bytes(20) ==
          static_cast<std::size_t>(24 * (activations + 2 * 72) + workspace) * sizeof(real) + held);
}

TEST_CASE("network: a model that does not fit is refused with what to do") {
    const auto message = [](const std::string& layers, const Shape& input) -> std::string {
        try {
            const Network network(model(layers), input);
        } catch (const InputError& error) {
            return error.what();
        }
        return "accepted";
    };
    const auto contains = [](const std::string& whole, const std::string& part) {
        INFO(whole);
        CHECK(whole.find(part) != std::string::npos);
    };
    const Shape image{1, 8, 8}, vector{10, 1, 1};
    CHECK(message(small_model, image) == "accepted");
    contains(message("{layer: dens, units: 3}", vector), "did you mean 'dense'?");
    contains(message("", vector), "the model has no layers");
    contains(message("{layer: relu}", vector), "no layer with weights");
    contains(message("{layer: dense}", vector), "units");
    contains(message("{layer: dense, units: 0}", vector), "1 <= x");
    contains(message("{layer: dense, units: 3}", image), "layer dense1 (dense) needs a flat input");
    const std::string too_long(201, 'x');
    for (const std::string name : {"a.b", "a/b", "../x", "..", "/x", "a b", "''", too_long.c_str()})
        contains(message("{layer: dense, units: 3, name: " + name + "}", vector),
                 "a name must have no slash, dot or space");
    contains(message(R"({layer: dense, units: 3, name: "a\nb"})", vector), "control character");
    contains(message("{layer: dense, units: 3, name: a}, {layer: dense, units: 3, name: a}", vector),
             "two layers of the model are named 'a'");
    contains(message("{layer: dense, units: 3, initializer: he_norml}", vector), "did you mean 'he_normal'?");
    contains(message("{layer: conv2d, channels: 3}", vector), "layer conv2d1 (conv2d) needs an image");
    contains(message("{layer: conv2d, channels: 3, kernel: 11, padding: 1}", image),
             "layer conv2d1 (conv2d) has a kernel of 11x11, but its input with padding 1 has only 10x10 pixels");
    contains(message("{layer: conv2d, channels: 3, padding: 3}", image), "it must be less than the kernel, 3");
    contains(message("{layer: conv2d}", image), "channels");
    contains(message("{layer: max_pool2d}, {layer: dense, units: 3}", vector), "(max_pool2d) needs an image");
    contains(message("{layer: average_pool2d, kernel: 9}", image), "has a kernel of 9x9");
    contains(message("{layer: dropout, rate: 1}, {layer: dense, units: 3}", vector), "0 <= x < 1");
    contains(message("{layer: batch_norm, epsilon: 0}", vector), "> 0");
    contains(message("{layer: batch_norm, momentum: 1.5}", vector), "0 <= x <= 1");
}

TEST_CASE("network: describe knows the keys of every layer") {
    const Config describing = Config::describing();
    for (const auto& entry : describing.list("model")) Network::describe(entry);
    const std::string description = describing.describe();
    for (const auto& name : layers().names()) {
        INFO(name);
        CHECK(description.find(name) != std::string::npos);
    }
    for (const char* key : {"units", "channels", "padding", "momentum", "rate", "initializer"})
        CHECK(description.find(text("model.[].", key)) != std::string::npos);
}
