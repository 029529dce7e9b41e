// A network cut in shards against the whole one, and its checkpoints.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "../support/layer_bench.hpp"
#include "../support/temporary_folder.hpp"
#include "pruntrain/parallel/exchange_layer.hpp"
#include "pruntrain/parallel/partition.hpp"
#include "pruntrain/parallel/state_partition.hpp"
#include "pruntrain/prune/pruner.hpp"
#include "pruntrain/run/checkpoint.hpp"

using namespace pruntrain;

namespace {

// Channels and units that 2, 3 and 4 shards do not divide; dropout behind an odd number of features; layers that grow
// wider and layers that grow narrower, which are cut by their outputs and by their inputs.
const std::string images =
    "{layer: conv2d, channels: 5, kernel: 3, padding: 1}, {layer: batch_norm}, {layer: relu}, {layer: max_pool2d}, "
    "{layer: conv2d, channels: 7, kernel: 2}, {layer: relu}, {layer: dropout, rate: 0.3}, {layer: flatten}, "
    "{layer: dense, units: 9}, {layer: batch_norm}, {layer: relu}, {layer: dropout, rate: 0.3}, {layer: dense, units: "
    "4}";
const std::string vectors =
    "{layer: dropout, rate: 0.2}, {layer: dense, units: 13}, {layer: relu}, {layer: dense, units: 6, bias: false}, "
    "{layer: dropout, rate: 0.4}, {layer: relu}, {layer: dense, units: 5, prunable: false}";

struct Case {
    std::string layers;
    Shape input;
    index_t outputs;
};
const std::string bottlenecks =
    "{layer: conv2d, channels: 10, kernel: 3, padding: 1}, {layer: relu}, {layer: conv2d, channels: 4, kernel: 3, "
    "bias: "
    "false}, {layer: batch_norm}, {layer: relu}, {layer: conv2d, channels: 9, kernel: 3, padding: 1}, {layer: relu}, "
    "{layer: max_pool2d}, {layer: flatten}, {layer: dense, units: 11}, {layer: dropout, rate: 0.2}, {layer: dense, "
    "units: 5}, {layer: batch_norm}";
const std::vector<Case> cases{{images, {2, 6, 6}, 4}, {vectors, {11, 1, 1}, 5}, {bottlenecks, {3, 6, 6}, 5}};

std::unique_ptr<Network> make_layers(const Case& model, const Grid& grid, const Partition& cuts, bool allocate,
                                     bool allow_row_parallel = true) {
    return std::make_unique<Network>(
        config_of("model: [" + model.layers + "]").list("model"), model.input,
        ModelShard{grid.shard(), grid.model_shards(), cuts, allow_row_parallel},
        [&](const LayerPlace& place, Network::Exchange what, bool last) {
            return make_exchange_layer(place, what, last, grid.shards());
        },
        allocate);
}

/// Calls work(number in the slot, number of its weight in the model) for all that this rank has slots for.
template <class Work>
void for_each_in_slot(Network& network, Work work) {
    Arena& arena = network.arena();
    for (std::size_t i = 0; i < arena.parameters().size(); ++i) {
        const Parameter& parameter = *arena.parameters()[i];
        const Block own = arena.slot_range(i);
        parameter.for_each_number([&](index_t k, weight_number_t number) {
            const index_t place = arena.offset(i) + k;
            if (place >= own.first && place < own.first + own.size)
                work(arena.slot(0)[static_cast<std::size_t>(place - arena.slot_range().first)],
                     static_cast<real>(number));
        });
    }
}

/// Each number in a slot is that of its weight.
std::unique_ptr<Network> make_network(const Case& model, const Grid& grid, std::optional<StatePartition> sharing = {}) {
    auto network = make_layers(model, grid, {}, true);
    network->arena().create_slots({"momentum"}, std::move(sharing));
    network->initialize(4);
    for_each_in_slot(*network, [](real& slot, real number) { slot = number; });
    return network;
}

/// A step of `samples` samples, the same on all ranks. @return the outputs
std::vector<real> train_step(Network& network, const Case& model, index_t samples) {
    NetworkStep step;
    step.training = true;
    step.seed = 2;
    step.step = 7;
    step.tiling.samples = step.global_samples = samples;
    network.set_tile_widths({8, 16});
    network.reserve(samples);
    const Tiling input = network.input_tiling(samples), output = network.output_tiling(samples);
    const auto x = random_numbers(input.size(model.input.size()), 3);
    std::copy(x.begin(), x.end(), network.input());
    for (std::size_t layer = 0; layer < network.layer_count(); ++layer) network.forward(step, layer);
    std::vector<real> slopes = random_numbers(output.size(model.outputs), 4);
    fill_padding(output, model.outputs, 0, slopes);
    std::copy(slopes.begin(), slopes.end(), network.output_gradient());
    std::vector<real> outputs;
    for (index_t sample = 0; sample < samples; ++sample)
        for (index_t o = 0; o < model.outputs; ++o)
            outputs.push_back(network.output()[place_of(output, model.outputs, o, sample)]);
    for (std::size_t layer = network.layer_count(); layer-- > 0;) network.backward(step, layer);
    return outputs;
}

void check_close(std::span<const real> a, std::span<const real> b) {
    // Products of up to 45 numbers of order 1, added in another order over the shards.
    REQUIRE(a.size() == b.size());
    double largest = 0, error = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        largest = std::max(largest, std::abs(double{b[i]}));
        error = std::max(error, std::abs(double{a[i]} - double{b[i]}));
    }
    CHECK(error <= 3e-6 * std::max(1.0, largest));
}

/// Calls work(grid) for all numbers of shards up to 4 that divide the ranks.
template <class Work>
void for_each_grid(Work work) {
    const auto world = Communicator::world();
    for (const index_t shards : {1, 2, 3, 4})
        if (world.size() % shards == 0) work(Grid(world, shards));
}

}  // namespace

TEST_SUITE("many ranks") {
    TEST_CASE("model shards: outputs, gradients and statistics are those of the whole network") {
        const Grid alone(Communicator::world().split(Communicator::world().rank()), 1);
        for_each_grid([&](const Grid& grid) {
            for (const Case& model : cases)
                for (const index_t samples : {1, 9, 35}) {
                    CAPTURE(grid.text());
                    CAPTURE(samples);
                    const auto whole = make_network(model, alone), part = make_network(model, grid);
                    check_close(train_step(*part, model, samples), train_step(*whole, model, samples));
                    REQUIRE(part->parameters().size() == whole->parameters().size());
                    for (std::size_t i = 0; i < part->parameters().size(); ++i) {
                        const Parameter& own = *part->parameters()[i];
                        const Parameter& all = *whole->parameters()[i];
                        CHECK(own.full_name() == all.full_name());
                        CHECK(own.tensor_shape == all.tensor_shape);
                        std::vector<real> values, gradients;  // of the whole network, at the own places
                        own.for_each_number([&](index_t, weight_number_t number) {
                            values.push_back(all.value[number - all.first_number]);
                            gradients.push_back(all.gradient[number - all.first_number]);
                        });
                        CHECK(std::ranges::equal(own.value, values));
                        check_close(own.gradient, gradients);
                    }
                    const auto statistics = part->statistics(), all = whole->statistics();
                    for (std::size_t i = 0; i < statistics.size(); ++i) {
                        const auto first = static_cast<std::size_t>(statistics[i].first->own_channels().first);
                        check_close(
                            statistics[i].second->values,
                            std::span(all[i].second->values).subspan(first, statistics[i].second->values.size()));
                    }
                }
        });
    }

    TEST_CASE("model shards: the narrower side of a layer is exchanged") {
        for_each_grid([&](const Grid& grid) {
            if (grid.model_shards() == 1) return;
            const auto exchanged = [&](bool allow_row_parallel) {
                const auto network = make_layers(cases[2], grid, {}, true, allow_row_parallel);
                std::vector<index_t> numbers;  // of a sample
                for (std::size_t i = 0; i < network->layer_count(); ++i)
                    if (const index_t forward = network->layer(i).exchanged({8, 8}).forward; forward > 0)
                        numbers.push_back(forward / 8);
                return numbers;
            };
            CHECK(exchanged(true) == std::vector<index_t>{4 * 16, 4 * 16, 11, 5, 5});
            CHECK(exchanged(false) == std::vector<index_t>{10 * 36, 4 * 16, 9 * 4, 11, 5});
        });
    }

    TEST_CASE("model shards: all shards together have every weight once") {
        for_each_grid([&](const Grid& grid) {
            for (const Case& model : cases) {
                const auto part = make_network(model, grid);
                const auto counts = count_kept(*part, grid.shards());
                for (std::size_t i = 0; i < counts.size(); ++i) {
                    CHECK(counts[i] == part->parameters()[i]->tensor_size());
                    const Parameter& own = *part->parameters()[i];
                    CHECK((own.pattern.rows() <= own.tensor_shape[0] / grid.model_shards() + 1 ||
                           (!own.has_all_columns() && grid.model_shards() > 1)));
                }
                const auto hash = consistent_model_hash(*part, 0, grid);
                const Grid alone(grid.world().split(grid.world().rank()), 1);
                const auto expected = hash_model(*make_network(model, alone));
                CHECK(hash.pattern == expected.pattern);
                CHECK(hash.weights == expected.weights);
            }
        });
    }
}

TEST_CASE("model shards: a checkpoint is the same file on every grid, and is read on every grid") {
    const auto world = Communicator::world();
    const Grid alone(world.split(world.rank()), 1);
    const TemporaryFolder folder;  // of this rank; files are written by roots only
    for (const Case& model : cases)
        for (const double sparsity : {0.0, 0.5, 0.95}) {
            const auto prune = [&](Network& network, const Grid& grid) {
                const Pruner pruner(
                    config_of(text("p: {schedule: one_shot, layer_floor: 0, final_sparsity: ", sparsity, "}"))
                        .section("p"),
                    1, {.steps_per_epoch = 1, .steps = 1}, network);
                pruner.prune(0, network, grid);
            };
            const auto whole = make_network(model, alone);
            prune(*whole, alone);
            write_checkpoint(folder / "whole.h5", *whole, {}, {}, "", {}, alone);
            for_each_grid([&](const Grid& grid) {
                CAPTURE(grid.text());
                const auto part = make_network(model, grid);
                prune(*part, grid);
                write_checkpoint(folder / "part.h5", *part, {}, {}, "", {}, grid);
                if (grid.world().is_root()) CHECK(content_of(folder / "part.h5") == content_of(folder / "whole.h5"));

                const auto read = make_network(model, grid);
                for (real& value : read->arena().values()) value = -1;
                History history;
                read_checkpoint(folder / "whole.h5", *read, history, grid.world());
                CHECK(std::ranges::equal(read->arena().values(), part->arena().values()));
                CHECK(std::ranges::equal(read->arena().slot(0), part->arena().slot(0)));
                const auto hash = consistent_model_hash(*read, 0, grid);
                const auto expected = hash_model(*whole);
                CHECK(hash.pattern == expected.pattern);
                CHECK(hash.weights == expected.weights);
            });
        }
}

TEST_CASE("model shards: rows move to another cut with all that belongs to them, and back") {
    for_each_grid([&](const Grid& grid) {
        for (const Case& model : cases)
            for (const bool shared : {false, true}) {
                CAPTURE(grid.text());
                const auto sharing = [&] {
                    return shared ? std::optional(partition_state(grid.replicas())) : std::optional<StatePartition>();
                };
                const auto network = make_network(model, grid, sharing());
                Arena& arena = network->arena();
                std::vector<std::vector<std::uint8_t>> keep(arena.parameters().size());
                for (std::size_t i = 0; i < keep.size(); ++i) {
                    const Parameter& parameter = *arena.parameters()[i];
                    if (!parameter.prunable || i % 3 == 2) continue;  // one tensor stays whole
                    parameter.for_each_number(
                        [&](index_t, weight_number_t number) { keep[i].push_back(number % 3 == 0); });
                }
                arena.keep(keep);
                const ModelHash expected = consistent_model_hash(*network, 0, grid);

                // The last shard gets all that the others need not have.
                Partition cuts;
                for (std::size_t i = 0; i < network->layer_count(); ++i) {
                    Layer& layer = network->layer(i);
                    if (layer.weight_matrix() == nullptr) continue;
                    auto& offsets = cuts[layer.name()];
                    for (index_t shard = 0; shard < grid.model_shards(); ++shard) offsets.push_back(shard);
                    offsets.push_back(layer.own_channels().total);
                }
                const auto moved = make_layers(model, grid, parse_partition(partition_text(cuts)), false);
                repartition_network(*network, *moved, grid, sharing());
                const ModelHash hash = consistent_model_hash(*moved, 0, grid);
                CHECK(hash.pattern == expected.pattern);
                CHECK(hash.weights == expected.weights);
                for_each_in_slot(*moved, [](real slot, real number) { CHECK(slot == number); });
                if (grid.model_shards() > 1 && !grid.shards().is_root())
                    CHECK(moved->parameters()[0]->first_row == grid.shard());
                check_close(train_step(*moved, model, 9), train_step(*network, model, 9));

                const auto back = make_layers(model, grid, {}, false);
                repartition_network(*moved, *back, grid, sharing());
                CHECK(std::ranges::equal(back->arena().values(), arena.values()));
                CHECK(std::ranges::equal(back->arena().slot(0), arena.slot(0)));
            }
    });
}

TEST_CASE("grid: rows of the model's shards, columns of replicas; what does not fit is refused") {
    const auto world = Communicator::world();
    for_each_grid([&](const Grid& grid) {
        CHECK(grid.shards().size() == grid.model_shards());
        CHECK(grid.replicas().size() * grid.model_shards() == world.size());
        CHECK(grid.shard() == world.rank() % grid.model_shards());
        CHECK(grid.replicas().rank() == world.rank() / grid.model_shards());
        CHECK(Grid::replicas_of(grid.text()) == grid.replicas().size());
    });
    const index_t shards = world.size() + 1;
    CHECK_THROWS_WITH_AS(Grid(world, shards), doctest::Contains(text("parallel.model_shards is ", shards).c_str()),
                         InputError);
    for (const char* wrong : {"", "x2", "3", "ax1", "0x2"}) CHECK_THROWS(Grid::replicas_of(wrong));
    const Case narrow{"{layer: dense, units: 1}", {3, 1, 1}, 1};
    if (world.size() > 1) CHECK_THROWS_AS(make_network(narrow, Grid(world, world.size())), InputError);
}
