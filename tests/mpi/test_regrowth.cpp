// Regrowth over ranks: the rule against a slow twin, on every grid of replicas and shards, with shared slots too.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "pruntrain/base/random.hpp"
#include "pruntrain/parallel/exchange_layer.hpp"
#include "pruntrain/parallel/state_partition.hpp"
#include "pruntrain/prune/pruner.hpp"
#include "pruntrain/prune/soft_pruned_weights.hpp"

using namespace pruntrain;

namespace {

constexpr const char* model = R"(
model:
  - {layer: dense, units: 24}
  - {layer: dense, units: 13}
  - {layer: dense, units: 5}
  - {layer: dense, units: 5, prunable: false}
)";

const RunLength length{.steps_per_epoch = 10, .steps = 100};
constexpr std::uint64_t seed = 1;

struct Weight {
    real value, slot;
    bool hidden = false;
};
/// Of one layer, by weight number.
using Weights = std::map<weight_number_t, Weight>;

/// What a weight is after some training: a few values only, so that many are equal, and some 0.
Weight trained(weight_number_t number, index_t step) {
    const RandomStream random(5, Purpose::test, 0, step);
    const auto value = static_cast<real>(static_cast<int>(random.bits(number)[0] % 21) - 10);
    return {value, static_cast<real>(random.uniform(number)) + 1};
}

/// Likewise.
real gradient_at(weight_number_t number, index_t step) {
    return static_cast<real>(static_cast<int>(RandomStream(6, Purpose::test, 0, step).bits(number)[0] % 301) - 150);
}

/// The numbers of highest score, of equals the smallest.
std::vector<weight_number_t> best(std::size_t count, const std::map<weight_number_t, real>& scores) {
    std::vector<weight_number_t> numbers;
    for (const auto& [number, score] : scores) numbers.push_back(number);
    std::ranges::stable_sort(numbers, [&](auto a, auto b) { return scores.at(a) > scores.at(b); });
    numbers.resize(count);
    return numbers;
}

/// The twin: one event on one layer with the weights first .. last - 1.
/// @param used  weights that are not hidden, before and after
Weights regrown(const Weights& kept, std::size_t used, bool soft_prunes, weight_number_t first, weight_number_t last,
                double fraction, const std::function<real(weight_number_t)>& score) {
    const auto count = static_cast<std::size_t>(fraction * static_cast<double>(used));
    std::map<weight_number_t, real> magnitudes, free;
    for (const auto& [number, weight] : kept) magnitudes[number] = std::abs(weight.value);
    Weights result;
    for (const auto number : best(soft_prunes ? used : used - count, magnitudes)) {
        result[number] = kept.at(number);
        result[number].hidden = false;
    }
    for (auto number = first; number < last; ++number)
        if (!result.count(number)) free[number] = score(number);
    for (const auto number : best(count, free)) {
        result[number] = kept.count(number) ? kept.at(number) : Weight{0, 0};
        result[number].hidden = soft_prunes;
    }
    return result;
}

std::unique_ptr<Network> make_network(const Grid& grid, bool share) {
    auto network = std::make_unique<Network>(Config::parse(model, "test", {}).list("model"), Shape{20, 1, 1},
                                             ModelShard{grid.shard(), grid.model_shards()},
                                             [&](const LayerPlace& place, Network::Exchange what, bool last) {
                                                 return make_exchange_layer(place, what, last, grid.shards());
                                             });
    network->initialize(9);
    network->arena().create_slots({"slot", soft_pruned_slot},
                                  share ? std::optional(partition_state(grid.replicas())) : std::nullopt);
    return network;
}

/// Calls work(number, position in the arena) for all weights of a parameter on this shard.
template <class Work>
void for_each_weight(Arena& arena, std::size_t parameter, Work work) {
    arena.parameters()[parameter]->for_each_number(
        [&](index_t k, weight_number_t number) { work(number, arena.offset(parameter) + k); });
}

void train(Arena& arena, index_t step) {
    const Block own = arena.slot_range();
    for (std::size_t i = 0; i < arena.parameters().size(); ++i)
        for_each_weight(arena, i, [&](weight_number_t number, index_t at) {
            const Weight weight = trained(number, step);
            arena.values()[static_cast<std::size_t>(at)] = weight.value;
            if (at >= own.first && at < own.first + own.size)
                arena.slot(0)[static_cast<std::size_t>(at - own.first)] = weight.slot;
        });
}

/// Of this shard, and for slots of this rank, what differs from the twin. @return weights seen
std::size_t compare(Arena& arena, std::size_t parameter, const Weights& expected) {
    const Block own = arena.slot_range();
    std::size_t count = 0;
    bool same = true;
    for_each_weight(arena, parameter, [&](weight_number_t number, index_t at) {
        ++count;
        const auto found = expected.find(number);
        same = same && found != expected.end() && found->second.value == arena.values()[static_cast<std::size_t>(at)] &&
               (at < own.first || at >= own.first + own.size ||
                (found->second.slot == arena.slot(0)[static_cast<std::size_t>(at - own.first)] &&
                 found->second.hidden == (arena.slot(1)[static_cast<std::size_t>(at - own.first)] == 1)));
    });
    CHECK(same);
    return count;
}

}  // namespace

TEST_SUITE("many ranks") {
    TEST_CASE("regrowth: the twin's weights and slots, for every member, on every grid") {
        const auto world = Communicator::world();
        const Grid alone(world.split(world.rank()), 1);
        for (const auto& member : regrowths().members())
            for (const index_t shards : {1, 2, 3, 4})
                for (const bool share : {false, true}) {
                    if (world.size() % shards != 0 || (world.size() > 4 && (shards < 4 || !share))) continue;
                    CAPTURE(member.name);
                    CAPTURE(shards);
                    const Grid grid(world, shards);
                    const Config section =
                        Config::parse(
                            "p: {final_sparsity: 0.7, criterion: random, allocation: erk, schedule: one_shot, "
                            "regrow: {type: " +
                                member.name + ", fraction: 0.45, every_steps: 20}}",
                            "test", {})
                            .section("p");
                    const auto network = make_network(grid, share), single = make_network(alone, false);
                    const Pruner pruner(section, seed, length, *network);
                    const Regrowth* const regrowth = pruner.regrowth();
                    if (regrowth == nullptr) continue;
                    pruner.prune(0, *network, grid);
                    pruner.prune(0, *single, alone);
                    const auto counts = count_kept(*network, grid.shards());
                    index_t events = 0;
                    for (index_t step = 1; step <= length.steps; ++step) {
                        if (!regrowth->event_at(step)) continue;
                        ++events;
                        Arena &arena = network->arena(), &twin = single->arena();
                        train(arena, step);
                        train(twin, step);
                        std::vector<Weights> expected(arena.parameters().size());
                        for (std::size_t i = 0; i < expected.size(); ++i) {
                            for_each_weight(twin, i, [&](weight_number_t number, index_t at) {
                                expected[i][number] = {twin.values()[static_cast<std::size_t>(at)],
                                                       twin.slot(0)[static_cast<std::size_t>(at)],
                                                       twin.slot(1)[static_cast<std::size_t>(at)] == 1};
                            });
                            const Parameter& whole = *twin.parameters()[i];
                            if (!whole.prunable || whole.pattern.full()) continue;
                            const RandomStream random(seed, Purpose::regrowth, 0, step);
                            expected[i] =
                                regrown(expected[i], static_cast<std::size_t>(counts[i]), regrowth->soft_prunes(),
                                        whole.first_number,
                                        whole.first_number + static_cast<weight_number_t>(whole.pattern.dense_size()),
                                        regrowth->fraction_at(step), [&](weight_number_t number) {
                                            return regrowth->score_input() == nullptr
                                                       ? static_cast<real>(random.uniform(number))
                                                       : std::abs(gradient_at(number, step));
                                        });
                        }
                        const auto event = [&](Network& of, const Grid& on) {
                            RegrowEvent event(*regrowth, step, of, on);
                            if (event.empty()) return;
                            if (regrowth->score_input() != nullptr) {
                                event.densify();
                                for (std::size_t i = 0; i < of.arena().parameters().size(); ++i)
                                    for_each_weight(of.arena(), i, [&](weight_number_t number, index_t at) {
                                        of.arena().gradients()[static_cast<std::size_t>(at)] =
                                            gradient_at(number, step);
                                    });
                            }
                            event.grow();
                        };
                        event(*network, grid);
                        event(*single, alone);
                        for (std::size_t i = 0; i < expected.size(); ++i) {
                            CHECK(compare(twin, i, expected[i]) == expected[i].size());
                            compare(arena, i, expected[i]);
                        }
                        const auto kept = count_kept(*network, grid.shards()), hidden = count_soft_pruned(arena, grid);
                        for (std::size_t i = 0; i < kept.size(); ++i) {
                            const index_t more = regrowth->soft_prunes() && counts[i] < tensor_sizes(*network)[i]
                                                     ? removed_count(regrowth->fraction_at(step), counts[i])
                                                     : 0;
                            CHECK(kept[i] == counts[i] + more);
                            CHECK(hidden[i] == more);
                        }
                    }
                    CHECK(events == (regrowth->soft_prunes() ? 4 : 3));
                }
    }
}
