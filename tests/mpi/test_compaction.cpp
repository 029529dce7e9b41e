// Dead units and channels leave the network, and it computes what it did.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "../support/layer_bench.hpp"
#include "pruntrain/model/weight_matrix.hpp"
#include "pruntrain/parallel/compaction.hpp"
#include "pruntrain/parallel/exchange_layer.hpp"
#include "pruntrain/parallel/state_partition.hpp"
#include "pruntrain/prune/pruner.hpp"

using namespace pruntrain;

namespace {

struct Case {
    std::string layers;
    Shape input;
    index_t outputs;
    bool exact = true;  ///< all constants find a place
};

const std::vector<Case> cases{
    {"{layer: dense, units: 17}, {layer: relu}, {layer: dense, units: 12}, {layer: batch_norm}, {layer: relu}, "
     "{layer: dropout, rate: 0.5}, {layer: dense, units: 9, bias: false}, {layer: batch_norm}, {layer: dense, units: "
     "5}",
     {11, 1, 1},
     5},
    {"{layer: conv2d, channels: 9, kernel: 3, padding: 1}, {layer: batch_norm}, {layer: relu}, {layer: max_pool2d}, "
     "{layer: conv2d, channels: 8, kernel: 2}, {layer: relu}, {layer: flatten}, {layer: batch_norm}, "
     "{layer: dense, units: 10}, {layer: relu}, {layer: dense, units: 4}",
     {2, 8, 8},
     4},
    {"{layer: conv2d, channels: 8, kernel: 3}, {layer: relu}, {layer: conv2d, channels: 9, kernel: 3, padding: 1}, "
     "{layer: average_pool2d}, {layer: flatten}, {layer: dense, units: 4}",
     {1, 8, 8},
     4,
     false},
};

std::unique_ptr<Network> make_layers(const Case& model, const Grid& grid, const Partition& cuts, bool allocate) {
    return std::make_unique<Network>(
        config_of("model: [" + model.layers + "]").list("model"), model.input,
        ModelShard{grid.shard(), grid.model_shards(), cuts},
        [&](const LayerPlace& place, Network::Exchange what, bool last) {
            return make_exchange_layer(place, what, last, grid.shards());
        },
        allocate);
}

/// What a weight's slot holds.
real slot_of(real value) { return 3 * value + 1; }

template <class Work>
void for_each_in_slot(Arena& arena, Work work) {
    const Block own = arena.slot_range();
    for (index_t i = 0; i < own.size; ++i)
        work(arena.slot(0)[static_cast<std::size_t>(i)], arena.values()[static_cast<std::size_t>(own.first + i)]);
}

/// All of the network's numbers differ from 0; of each layer's weight a third of the rows and, of the next layer's, the
/// columns of another third have gone.
std::unique_ptr<Network> make_pruned(const Case& model, const Grid& grid, std::optional<StatePartition> sharing) {
    auto network = make_layers(model, grid, {}, true);
    network->initialize(4);
    Arena& arena = network->arena();
    arena.create_slots({"momentum"}, std::move(sharing));
    const RandomStream random(3, Purpose::test);
    for (auto* parameter : arena.parameters())
        parameter->for_each_number([&](index_t k, weight_number_t number) {
            parameter->value[static_cast<std::size_t>(k)] += static_cast<real>(0.2 + 0.1 * random.uniform(number));
        });
    std::uint32_t stream = 0;
    for (const auto& [layer, statistic] : network->statistics()) {
        const auto numbers = random_numbers(layer->own_channels().total, 50 + stream++);
        for (std::size_t c = 0; c < statistic->values.size(); ++c)
            statistic->values[c] += std::abs(numbers[c + static_cast<std::size_t>(layer->own_channels().first)]);
    }
    std::vector<std::vector<std::uint8_t>> keep(arena.parameters().size());
    bool first = true;
    for (std::size_t i = 0; i < keep.size(); ++i) {
        const Parameter* const parameter = network->parameters()[i];
        if (!parameter->prunable) continue;
        const index_t columns = parameter->pattern.columns(), all = parameter->tensor_columns();
        const bool last = parameter->tensor_shape[0] == model.outputs && parameter == network->parameters().end()[-2];
        // Of conv2d2 behind 8 x 8, dense behind 3 x 3 pixels: as many columns belong to a unit as the shape says.
        const index_t of_unit =
            parameter->tensor_shape.size() > 2 ? parameter->tensor_shape[2] * parameter->tensor_shape[3] : 1;
        parameter->pattern.for_each_position([&](index_t, index_t position) {
            const index_t row = parameter->first_row + position / columns;
            const index_t column = (parameter->first_column + position % columns) / of_unit;
            const bool gone = (!last && row % 3 == 1) || (!first && of_unit * all > 0 && column % 4 == 2);
            keep[i].push_back(!gone);
        });
        first = false;
    }
    arena.keep(keep);
    for_each_in_slot(arena, [](real& slot, real value) { slot = slot_of(value); });
    return network;
}

std::vector<real> outputs_of(Network& network, const Case& model) {
    constexpr index_t samples = 21;
    network.set_tile_widths({8, 16});
    network.reserve(samples);
    StepContext step;
    step.tiling.samples = step.global_samples = samples;
    const Tiling input = network.input_tiling(samples), output = network.output_tiling(samples);
    const auto x = random_numbers(input.size(model.input.size()), 3);
    std::ranges::copy(x, network.input());
    const real* const y = network.forward(step);
    std::vector<real> outputs;
    for (index_t sample = 0; sample < samples; ++sample)
        for (index_t o = 0; o < model.outputs; ++o) outputs.push_back(y[place_of(output, model.outputs, o, sample)]);
    return outputs;
}

double difference(std::span<const real> a, std::span<const real> b) {
    double largest = 0, error = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        largest = std::max(largest, std::abs(double{b[i]}));
        error = std::max(error, std::abs(double{a[i]} - double{b[i]}));
    }
    return largest > 0 ? error / largest : error;
}

}  // namespace

TEST_CASE("shrink: dead units leave, and the outputs of an evaluation stay") {
    const auto world = Communicator::world();
    for (const index_t shards : {1, 2, 3})
        for (const Case& model : cases)
            for (const bool shared : {false, true}) {
                if (world.size() % shards != 0) continue;
                const Grid grid(world, shards);
                CAPTURE(grid.text());
                CAPTURE(model.layers);
                const auto sharing = [&] {
                    return shared ? std::optional(partition_state(grid.replicas())) : std::optional<StatePartition>();
                };
                const auto network = make_pruned(model, grid, sharing());
                const std::vector<real> before = outputs_of(*network, model);
                const auto kept = count_prunable(*network, count_kept(*network, grid.shards()));

                const AliveChannels alive = fold_dead_channels(*network, grid.shards());
                // Biases have changed, and with them what their slots should hold here.
                for_each_in_slot(network->arena(), [](real& slot, real value) { slot = slot_of(value); });
                const auto cuts = partition_of_alive(*network, alive);
                REQUIRE(cuts.has_value());
                const auto smaller = make_layers(model, grid, *cuts, false);
                compact_network(*network, *smaller, alive, grid, sharing());

                const std::vector<real> after = outputs_of(*smaller, model);
                if (model.exact) CHECK(difference(after, before) < 1e-5);
                else CHECK(difference(after, before) > 1e-3);
                for_each_in_slot(smaller->arena(), [](real slot, real value) { CHECK(slot == slot_of(value)); });
                for (std::size_t i = 0; i < smaller->parameters().size(); ++i) {
                    const Parameter &now = *smaller->parameters()[i], &old = *network->parameters()[i];
                    CHECK(now.full_shape == old.tensor_shape);
                    const bool last = i + 2 >= smaller->parameters().size();
                    if (!last) CHECK(3 * now.tensor_shape[0] <= 2 * old.tensor_shape[0] + 3);
                    CHECK((now.tensor_shape[0] == old.tensor_shape[0]) == last);
                }
                const auto left = count_prunable(*smaller, count_kept(*smaller, grid.shards()));
                CHECK(left.size == kept.size);
                CHECK(left.kept < kept.kept);  // weights out of dead units have gone with them
                consistent_model_hash(*smaller, 0, grid);

                // Nothing is dead any more, and nothing moves.
                CHECK_FALSE(partition_of_alive(*smaller, fold_dead_channels(*smaller, grid.shards())).has_value());
            }
}

TEST_CASE("shrink: of a layer without any weight left one unit stays on each shard") {
    const auto world = Communicator::world();
    const Grid grid(world, world.size());
    const Case model{"{layer: dense, units: 8}, {layer: relu}, {layer: dense, units: 4}", {3, 1, 1}, 4};
    const auto network = make_layers(model, grid, {}, true);
    network->initialize(1);
    std::vector<std::vector<std::uint8_t>> keep;  // of the last layer's weight none stay
    for (const auto* parameter : network->arena().parameters())
        keep.emplace_back(parameter == network->parameters()[2] ? parameter->value.size() : 0, 0);
    network->arena().keep(keep);
    const AliveChannels alive = fold_dead_channels(*network, grid.shards());
    const auto cuts = partition_of_alive(*network, alive);
    REQUIRE(cuts.has_value());
    CHECK(cuts->at("dense1").back() == world.size());
    const auto smaller = make_layers(model, grid, *cuts, false);
    compact_network(*network, *smaller, alive, grid, {});
    CHECK(difference(outputs_of(*smaller, model), outputs_of(*network, model)) < 1e-6);
}
