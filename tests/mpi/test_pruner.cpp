// Prune events over ranks: exact counts, floors, one pattern for every rank count.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "pruntrain/base/error.hpp"
#include "pruntrain/parallel/exchange_layer.hpp"
#include "pruntrain/prune/pruner.hpp"
#include "pruntrain/prune/soft_pruned_weights.hpp"

using namespace pruntrain;

namespace {

constexpr const char* model = R"(
model:
  - {layer: dense, units: 40}
  - {layer: dense, units: 30}
  - {layer: dense, units: 5}
  - {layer: dense, units: 5, prunable: false}
)";

const RunLength length{.steps_per_epoch = 10, .steps = 100};

std::unique_ptr<Network> fresh_network(const Grid& grid) {
    auto network = std::make_unique<Network>(Config::parse(model, "test", {}).list("model"), Shape{20, 1, 1},
                                             ModelShard{grid.shard(), grid.model_shards()},
                                             [&](const LayerPlace& place, Network::Exchange what, bool last) {
                                                 return make_exchange_layer(place, what, last, grid.shards());
                                             });
    network->initialize(9);
    network->arena().create_slots({"slot"});
    for (index_t i = 0; i < network->arena().size(); ++i)
        network->arena().slot(0)[static_cast<std::size_t>(i)] = network->arena().values()[static_cast<std::size_t>(i)];
    std::ranges::transform(network->arena().values(), network->arena().gradients().begin(),
                           [](real value) { return value * value - real{0.01}; });
    return network;
}

Pruner make_pruner(const std::string& yaml, const Network& network) {
    return {Config::parse("p: {" + yaml + "}", "test", {}).section("p"), 1, length, network};
}

std::unique_ptr<Criterion> make_criterion(const std::string& name) {
    return criteria().find(name)(Config::parse("c: {}", "test", {}).section("c"), 1);
}

bool refuses_signed(const std::string& allocation) {
    const std::string table = allocation == "per_layer" ? "{sparsity: {dense2: 0.5}}" : "{}";
    return allocations()
        .find(allocation)(Config::parse("a: " + table, "test", {}).section("a"))
        ->traits()
        .rejects(Trait::signed_scores);
}

}  // namespace

TEST_CASE("pruner: an allocation by shapes goes by those before units left the network") {
    const Grid grid(Communicator::world(), 1);
    const auto network = fresh_network(grid);
    network->parameters()[0]->full_shape = {80, 20};  // dense1.weight: 40 units have left
    network->parameters()[2]->full_shape = {30, 80};
    const Pruner pruner =
        make_pruner("final_sparsity: 0.9, allocation: erk, schedule: {type: one_shot, at_step: 0}", *network);
    pruner.prune(0, *network, grid);
    const auto kept = count_kept(*network, grid.shards());
    CHECK(kept[0] + kept[2] + kept[4] == 415);  // of 4150
    // In proportion to inputs + outputs: 100 : 110 : 35.
    CHECK(std::abs(kept[0] - 415 * 100 / 245) <= 1);
    CHECK(std::abs(kept[2] - 415 * 110 / 245) <= 1);
    CHECK(std::abs(kept[4] - 415 * 35 / 245) <= 1);
}

TEST_CASE("pruner: floors in whole groups must leave room for the final sparsity") {
    const Grid grid(Communicator::world(), 1);
    const auto network = fresh_network(grid);
    // A row of each layer has 20, 40 and 30 weights.
    CHECK_NOTHROW(make_pruner("final_sparsity: 0.95, granularity: row", *network));
    CHECK_THROWS_WITH_AS(make_pruner("final_sparsity: 0.97, granularity: row", *network),
                         doctest::Contains("the floors of 3 layers need 90 in whole groups"), InputError);
}

TEST_CASE("pruner: exact counts, floors, values that stay, slots in step, for every criterion and allocation") {
    const Grid grid(Communicator::world(), 1);
    for (const auto& criterion : criteria().members())
        for (const auto& allocation : allocations().members())
            for (const double sparsity : {0.5, 0.9, 0.99}) {
                CAPTURE(criterion.name);
                CAPTURE(allocation.name);
                const auto of = make_criterion(criterion.name);
                if (of->traits().holds(Trait::unit_scores) ||
                    (of->traits().holds(Trait::signed_scores) && refuses_signed(allocation.name)))
                    continue;
                auto network = fresh_network(grid);
                std::vector<std::vector<real>> before;
                for (const auto* parameter : network->parameters())
                    before.emplace_back(parameter->value.begin(), parameter->value.end());
                const std::string table =
                    allocation.name == "per_layer" ? text(", sparsity: {dense2: ", sparsity, "}") : "";
                const Pruner pruner =
                    make_pruner(text("final_sparsity: ", sparsity, ", criterion: ", criterion.name,
                                     ", layer_floor: 0.5, allocation: {type: ", allocation.name, table,
                                     "}, schedule: {type: linear, end_step: 20, every_steps: 5}"),
                                *network);
                for (index_t step = 0; step <= 20; ++step) {
                    if (!pruner.event_at(step)) continue;
                    pruner.prune(step, *network, grid);
                    const PrunableCount count = count_prunable(*network, count_kept(*network, grid.shards()));
                    const index_t size = 20 * 40 + 40 * 30 + 30 * 5;
                    CHECK(count.size == size);
                    CHECK(count.kept == size - removed_count(sparsity * static_cast<double>(step) / 20, size));
                }
                for (std::size_t i = 0; i < before.size(); ++i) {
                    const Parameter& parameter = *network->parameters()[i];
                    const auto positions = parameter.pattern.dense_positions();
                    bool same = true;
                    for (std::size_t k = 0; k < positions.size(); ++k)
                        same = same && parameter.value[k] == before[i][static_cast<std::size_t>(positions[k])];
                    CHECK(same);
                    if (!parameter.prunable) CHECK(parameter.pattern.full());
                    if (parameter.prunable && allocation.name != "per_layer")
                        CHECK(parameter.pattern.kept() >=
                              std::max<index_t>(
                                  1, static_cast<index_t>(0.5 * (1 - sparsity) *
                                                          static_cast<double>(parameter.pattern.dense_size()))));
                }
                const auto values = network->arena().values(), slot = network->arena().slot(0);
                CHECK(std::equal(values.begin(), values.end(), slot.begin(), slot.end()));
            }
}

TEST_CASE("pruner: global magnitude keeps what a sort keeps") {
    const Grid grid(Communicator::world(), 1);
    auto network = fresh_network(grid);
    std::vector<real> all;
    for (const auto* parameter : network->parameters())
        if (parameter->prunable)
            for (const real value : parameter->value) all.push_back(std::abs(value));
    std::sort(all.begin(), all.end());
    const Pruner pruner = make_pruner("final_sparsity: 0.7, layer_floor: 0, schedule: one_shot", *network);
    pruner.prune(0, *network, grid);
    const real smallest = all[static_cast<std::size_t>(removed_count(0.7, static_cast<index_t>(all.size())))];
    for (const auto* parameter : network->parameters())
        if (parameter->prunable)
            for (const real value : parameter->value) CHECK(std::abs(value) >= smallest);
}

TEST_CASE("pruner: what scores above the threshold stays, and as much as the schedule says in any case") {
    const Grid grid(Communicator::world(), 1);
    const std::string schedule =
        ", layer_floor: 0, schedule: {type: threshold, start_step: 1, end_step: 1, threshold: ";
    for (const double threshold : {0.0, 0.05, 0.3}) {
        CAPTURE(threshold);
        auto network = fresh_network(grid);
        index_t above = 0, size = 0;
        for (const auto* parameter : network->parameters())
            if (parameter->prunable)
                for (const real value : parameter->value) ++size, above += std::abs(value) > threshold;
        const index_t least = size - removed_count(0.7, size);
        CHECK((above > least) == (threshold < 0.3));
        const Pruner pruner = make_pruner(text("final_sparsity: 0.7", schedule, threshold, "}"), *network);
        pruner.prune(1, *network, grid);
        CHECK(count_prunable(*network, count_kept(*network, grid.shards())).kept == std::max(above, least));
        for (const auto* parameter : network->parameters())
            if (parameter->prunable && above > least)
                for (const real value : parameter->value) CHECK(std::abs(value) > threshold);
    }
}

TEST_CASE("pruner: hidden weights whose score is above the threshold come back") {
    const Grid grid(Communicator::world(), 1);
    auto network = fresh_network(grid);
    Arena& arena = network->arena();
    arena.create_slots({soft_pruned_slot});
    const Pruner pruner = make_pruner(
        "final_sparsity: 0.7, layer_floor: 0, straight_through: true, "
        "schedule: {type: threshold, start_step: 1, end_step: 9, every_steps: 1, threshold: 0.05}",
        *network);
    const auto hidden = [&] {
        const std::vector<index_t> counts = count_soft_pruned(arena, grid);
        return std::accumulate(counts.begin(), counts.end(), index_t{0});
    };
    pruner.prune(3, *network, grid);
    CHECK(hidden() > 0);
    for (real& value : arena.values()) value = 1;
    pruner.prune(4, *network, grid);
    CHECK(hidden() == 0);
    pruner.prune(9, *network, grid);
    CHECK(count_prunable(*network, count_kept(*network, grid.shards())).kept == 20 * 40 + 40 * 30 + 30 * 5);
}

namespace {

/// Grids of all ranks: every one on few ranks, and on many, where a case takes long, one of replicas and shards.
std::vector<index_t> shards_to_test(const Communicator& world) {
    constexpr int few = 8;
    if (world.size() > few) return {4};
    std::vector<index_t> all;
    for (const index_t shards : {1, 2, 3, 4})
        if (world.size() % shards == 0) all.push_back(shards);
    return all;
}

const std::vector<std::string> granularities_to_test{
    "row",
    "column",
    "{type: row, norm: l1}",
    "{type: column, norm: mean}",
    "{type: block, rows: 1, columns: 8}",
    "{type: block, rows: 7, columns: 3, norm: mean}",
};

}  // namespace

TEST_CASE("pruner: groups stay or go as a whole, the best by their norm, as many as fit") {
    const Grid grid(Communicator::world(), 1);
    for (const auto& yaml : granularities_to_test)
        for (const double sparsity : {0.2, 0.8}) {
            CAPTURE(yaml);
            auto network = fresh_network(grid);
            const auto before = fresh_network(grid);
            const Pruner pruner = make_pruner(text("final_sparsity: ", sparsity, ", granularity: ", yaml,
                                                   ", allocation: uniform, layer_floor: 0, schedule: one_shot"),
                                              *network);
            pruner.prune(0, *network, grid);
            const Config section = Config::parse("g: {granularity: " + yaml + "}", "test", {}).section("g");
            const Config of = section.section("granularity");
            const auto granularity = granularities().find(of.word("type", std::nullopt, ""))(of);
            for (std::size_t i = 0; i < network->parameters().size(); ++i) {
                const Parameter& pruned = *network->parameters()[i];
                const Parameter& whole = *before->parameters()[i];
                if (!pruned.prunable) continue;
                const index_t columns = whole.pattern.columns();
                std::vector<double> sums(static_cast<std::size_t>(granularity->count(whole.tensor_shape)), 0);
                std::vector<index_t> sizes(sums.size(), 0), left(sums.size(), 0);
                const auto group = [&](index_t position) {
                    return static_cast<std::size_t>(
                        granularity->group_of(whole.tensor_shape, position / columns, position % columns));
                };
                whole.pattern.for_each_position([&](index_t k, index_t position) {
                    const double score = std::abs(double{whole.value[static_cast<std::size_t>(k)]});
                    sums[group(position)] += granularity->norm() == GroupNorm::l2 ? score * score : score;
                    ++sizes[group(position)];
                });
                pruned.pattern.for_each_position([&](index_t, index_t position) { ++left[group(position)]; });
                double best_gone = 0, worst_left = 1e300;
                index_t largest = 0;
                for (std::size_t g = 0; g < sums.size(); ++g) {
                    const double norm =
                        granularity->norm() == GroupNorm::mean ? sums[g] / static_cast<double>(sizes[g]) : sums[g];
                    CHECK((left[g] == 0 || left[g] == sizes[g]));
                    if (left[g] == 0) best_gone = std::max(best_gone, norm);
                    else worst_left = std::min(worst_left, norm);
                    largest = std::max(largest, sizes[g]);
                }
                CHECK(best_gone <= worst_left * (1 + 1e-6));
                const double keep = (1 - sparsity) * static_cast<double>(whole.pattern.dense_size());
                CHECK(static_cast<double>(pruned.pattern.kept()) <= std::max(keep + 1, static_cast<double>(largest)));
                CHECK(static_cast<double>(pruned.pattern.kept()) > keep - 1 - static_cast<double>(largest));
            }
        }
}

TEST_CASE("pruner: every criterion goes with every granularity and allocation") {
    const Grid grid(Communicator::world(), 1);
    for (const auto& criterion : criteria().members())
        for (const auto& granularity : granularities().members())
            for (const auto& allocation : allocations().members()) {
                CAPTURE(criterion.name);
                CAPTURE(granularity.name);
                CAPTURE(allocation.name);
                auto network = fresh_network(grid);
                const auto of = make_criterion(criterion.name);
                const bool units = of->traits().holds(Trait::unit_scores);
                const std::string allocated = granularity.name == "n_m" ? ""
                                              : allocation.name == "per_layer"
                                                  ? ", allocation: {type: per_layer, sparsity: {dense2: 0.5}}"
                                                  : ", allocation: " + allocation.name;
                const std::string section =
                    text("final_sparsity: 0.5, criterion: ", criterion.name, ", granularity: {type: ", granularity.name,
                         units && granularity.name == "row" ? ", norm: mean" : "", "}", allocated,
                         ", schedule: {type: one_shot, at_step: 1}");
                const bool signs_fit = !of->traits().holds(Trait::signed_scores) || granularity.name == "n_m" ||
                                       !refuses_signed(allocation.name);
                if ((units && granularity.name != "row") || !signs_fit) {
                    CHECK_THROWS_AS(make_pruner(section, *network), InputError);
                    continue;
                }
                REQUIRE(make_pruner(section, *network).prune(1, *network, grid));
                const PrunableCount count = count_prunable(*network, count_kept(*network, grid.shards()));
                CHECK(count.sparsity() >= (granularity.name == "n_m" ? 0.49 : 0.5));  // rows end with shorter runs
                CHECK(count.sparsity() < 0.56);  // a row of 40 of 2,150 weights less at most, and two floors
            }
    auto network = fresh_network(grid);
    CHECK_THROWS_AS(make_pruner("final_sparsity: 0.5, granularity: n_m, allocation: erk", *network), InputError);
}

TEST_CASE("pruner: scores below 0 count as such in groups") {
    const Grid grid(Communicator::world(), 1);
    for (const auto* norm : {"l1", "l2", "mean"}) {
        CAPTURE(norm);
        auto network = fresh_network(grid);
        const Pruner pruner =
            make_pruner(text("final_sparsity: 0.5, criterion: movement, granularity: {type: row, norm: ", norm,
                             "}, schedule: {type: one_shot, at_step: 1}, allocation: uniform"),
                        *network);
        // What pruner finds as the scores: below 0 in the rows of even number, and larger there.
        for (auto* parameter : network->parameters())
            parameter->pattern.for_each_position([&](index_t k, index_t position) {
                const index_t row = position / parameter->pattern.columns();
                parameter->gradient[static_cast<std::size_t>(k)] =
                    row % 2 == 0 ? real{-2} - static_cast<real>(row) : real{1};
            });
        REQUIRE(pruner.prune(1, *network, grid));
        for (const auto* parameter : network->parameters())
            if (parameter->prunable && parameter->pattern.rows() % 2 == 0)
                for (const index_t position : parameter->pattern.dense_positions())
                    CHECK(position / parameter->pattern.columns() % 2 == 1);
    }
    auto network = fresh_network(grid);
    CHECK_THROWS_AS(make_pruner("final_sparsity: 0.5, criterion: movement, schedule: one_shot", *network), InputError);
}

TEST_CASE("pruner: N of M neighbouring inputs stay, the best of each run") {
    const Grid grid(Communicator::world(), 1);
    for (const auto& [n, m] : {std::pair{2, 4}, {1, 3}, {7, 8}}) {
        auto network = fresh_network(grid);
        const auto before = fresh_network(grid);
        const Pruner pruner =
            make_pruner(text("final_sparsity: ", 1 - static_cast<double>(n) / m, ", granularity: {type: n_m, n: ", n,
                             ", m: ", m, "}, schedule: {type: linear, end_step: 10, every_steps: 5}"),
                        *network);
        for (const index_t step : {0, 5, 10}) pruner.prune(step, *network, grid);
        for (std::size_t i = 0; i < network->parameters().size(); ++i) {
            const Parameter& pruned = *network->parameters()[i];
            const Parameter& whole = *before->parameters()[i];
            if (!pruned.prunable) continue;
            const index_t columns = whole.pattern.columns();
            std::vector<bool> stays(static_cast<std::size_t>(whole.pattern.dense_size()), false);
            for (const index_t position : pruned.pattern.dense_positions())
                stays[static_cast<std::size_t>(position)] = true;
            for (index_t row = 0; row < whole.pattern.rows(); ++row)
                for (index_t first = 0; first < columns; first += m) {
                    const index_t size = std::min<index_t>(m, columns - first);
                    index_t count = 0;
                    real best_gone = 0, worst_left = 1e30F;
                    for (index_t k = row * columns + first; k < row * columns + first + size; ++k) {
                        const real score = std::abs(whole.value[static_cast<std::size_t>(k)]);
                        count += stays[static_cast<std::size_t>(k)];
                        if (stays[static_cast<std::size_t>(k)]) worst_left = std::min(worst_left, score);
                        else best_gone = std::max(best_gone, score);
                    }
                    CHECK(count == std::min<index_t>(n, size));
                    CHECK(best_gone <= worst_left);
                }
        }
    }
    auto network = fresh_network(grid);
    CHECK_THROWS_AS(make_pruner("final_sparsity: 0.6, granularity: {type: n_m, n: 2, m: 4}", *network), InputError);
    CHECK_THROWS_AS(make_pruner("final_sparsity: 0.5, granularity: {type: n_m, n: 4, m: 4}", *network), InputError);
}

TEST_SUITE("many ranks") {
    TEST_CASE("pruner: one pattern of groups on every grid of replicas and shards") {
        const auto world = Communicator::world();
        const Grid alone(world.split(world.rank()), 1);
        for (const auto& yaml : granularities_to_test)
            for (const index_t shards : shards_to_test(world)) {
                const Grid grid(world, shards);
                auto together = fresh_network(grid), single = fresh_network(alone);
                for (const double sparsity : {0.3, 0.7, 0.9}) {
                    const std::string section = text("final_sparsity: ", sparsity, ", granularity: ", yaml,
                                                     ", layer_floor: 0.4, schedule: one_shot");
                    const auto hash = make_pruner(section, *together).prune(0, *together, grid);
                    const auto hash_alone = make_pruner(section, *single).prune(0, *single, alone);
                    REQUIRE(hash);
                    CHECK(hash->pattern == hash_alone->pattern);
                }
            }
    }

    TEST_CASE("pruner: the pattern is the one that a single rank finds, on every grid of replicas and shards") {
        const auto world = Communicator::world();
        const Grid alone(world.split(world.rank()), 1);
        for (const auto& criterion : criteria().members())
            for (const auto& [allocation, sparsity] : {std::pair{"global", 0.95}, {"uniform", 0.3}})
                for (const index_t shards : shards_to_test(world)) {
                    const Grid grid(world, shards);
                    const bool units = make_criterion(criterion.name)->traits().holds(Trait::unit_scores);
                    if (units && sparsity > 0.9) continue;  // the floors in whole rows need more than that
                    const std::string yaml = text("final_sparsity: ", sparsity, ", criterion: ", criterion.name,
                                                  ", granularity: ", units ? "{type: row, norm: mean}" : "weight",
                                                  ", allocation: ", allocation,
                                                  ", layer_floor: 0.8, schedule: {type: one_shot, at_step: 1}");
                    auto together = fresh_network(grid), single = fresh_network(alone);
                    const auto hash = make_pruner(yaml, *together).prune(1, *together, grid);
                    const auto hash_alone = make_pruner(yaml, *single).prune(1, *single, alone);
                    REQUIRE(hash);
                    CHECK(hash->pattern == hash_alone->pattern);
                    CHECK(hash->weights == hash_alone->weights);
                    const auto again = make_pruner(yaml, *together).prune(1, *together, grid);
                    CHECK_FALSE(again);  // nothing is left to remove
                }
    }
}

TEST_CASE("pruner: ranks whose weights differ are named") {
    const auto world = Communicator::world();
    if (world.size() == 1) return;
    const Grid grid(world, 1);
    auto network = fresh_network(grid);
    if (world.rank() == world.size() - 1) network->parameters()[0]->value[0] += 1;
    const std::string expected = text("ranks ", world.size() - 1, " differs");
    try {
        make_pruner("final_sparsity: 0.5, schedule: one_shot", *network).prune(0, *network, grid);
        FAIL("differing models were not noticed");
    } catch (const std::runtime_error& error) {
        CHECK(std::string(error.what()).find(expected) != std::string::npos);
    }
}
