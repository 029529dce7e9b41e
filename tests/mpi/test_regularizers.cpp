#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "../support/layer_bench.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/optim/regularizer.hpp"
#include "pruntrain/parallel/exchange_layer.hpp"

using namespace pruntrain;

namespace {

std::unique_ptr<Regularizer> regularizer(const std::string& yaml) {
    const Config section = Config::parse("r: {" + yaml + "}", "test", {}).section("r");
    return regularizers().find(section.word("type", std::nullopt, ""))(section);
}

Network network_of_two() {
    return {config_of("model: [{layer: dense, units: 3}, {layer: dense, units: 2, prunable: false}]").list("model"),
            {4, 1, 1}};
}

Communicator alone() { return Communicator::world().split(Communicator::world().rank()); }

}  // namespace

TEST_CASE("regularizer: L1 moves every weight towards 0 by the step, and not beyond") {
    Network network = network_of_two();
    auto values = network.parameters()[0]->value;
    std::ranges::copy(std::vector<real>{3, -3, 0.5, -0.5, 0.25, -0.25, 0, 1, -1, 0.125, 2, -2}, values.begin());
    std::ranges::fill(network.parameters()[1]->value, real{7});  // bias
    std::ranges::fill(network.parameters()[2]->value, real{7});  // not prunable
    regularizer("type: l1, strength: 2")->apply(network.arena(), 0.25, 0, alone());
    CHECK(std::ranges::equal(values, std::vector<real>{2.5, -2.5, 0, 0, 0, 0, 0, 0.5, -0.5, 0, 1.5, -1.5}));
    CHECK(std::ranges::count(network.parameters()[1]->value, real{7}) == 3);
    CHECK(std::ranges::count(network.parameters()[2]->value, real{7}) == 6);
}

TEST_CASE("regularizer: L1 of batch-norm moves its scales alone") {
    Network network(
        config_of("model: [{layer: dense, units: 3}, {layer: batch_norm}, {layer: dense, units: 2}]").list("model"),
        {4, 1, 1});
    const auto l1 = regularizer("type: batch_norm_l1, strength: 2");
    for (Parameter* parameter : network.parameters()) std::ranges::fill(parameter->value, real{2});
    std::ranges::copy(std::vector<real>{3, -0.25, -1}, network.parameters()[2]->value.begin());
    l1->apply(network.arena(), 0.25, 0, alone());
    for (const Parameter* parameter : network.parameters()) {
        CHECK(l1->applies_to(*parameter) == (parameter->full_name() == "batch_norm1.scale"));
        if (l1->applies_to(*parameter)) CHECK(std::ranges::equal(parameter->value, std::vector<real>{2.5, 0, -0.5}));
        else CHECK(std::ranges::all_of(parameter->value, [](real value) { return value == 2; }));
    }
}

TEST_CASE("regularizer: group L2 shortens each row by step sqrt(size), and not beyond 0") {
    Network network = network_of_two();
    std::vector<std::vector<std::uint8_t>> keep(network.arena().parameters().size());
    keep[0] = {1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1};  // dense1.weight: the third row has two weights
    network.arena().keep(keep);
    auto values = network.parameters()[0]->value;
    std::ranges::copy(std::vector<real>{1, 1, 1, 1, 0.25, -0.25, 0.25, 0.25, 3, -4}, values.begin());
    regularizer("type: group_l2, strength: 2")->apply(network.arena(), 0.25, 0, alone());
    const double factor = 1 - 0.5 * std::sqrt(2.0) / 5;
    const std::vector<double> expected{0.5, 0.5, 0.5, 0.5, 0, 0, 0, 0, 3 * factor, -4 * factor};
    for (std::size_t k = 0; k < expected.size(); ++k) CHECK(std::abs(double{values[k]} - expected[k]) < 1e-6);
    for (std::size_t k = 4; k < 8; ++k) CHECK(values[k] == 0);
}

TEST_CASE("regularizer: group L2 of columns shortens what goes out of each input") {
    Network network = network_of_two();
    std::vector<std::vector<std::uint8_t>> keep(network.arena().parameters().size());
    keep[0] = {1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1};  // dense1.weight: the first and third columns have two weights
    network.arena().keep(keep);
    const auto values = network.parameters()[0]->value;
    std::ranges::copy(std::vector<real>{3, 1, 0.25, 1, -4, 1, 0.25, 1, 1, 1}, values.begin());
    regularizer("type: group_l2, strength: 2, over: columns")->apply(network.arena(), 0.25, 0, alone());
    const double two = 1 - 0.5 * std::sqrt(2.0) / 5, three = 0.5;
    const std::vector<double> expected{3 * two, three, 0, three, -4 * two, three, 0, three, three, three};
    for (std::size_t k = 0; k < expected.size(); ++k) CHECK(std::abs(double{values[k]} - expected[k]) < 1e-6);
}

TEST_CASE("regularizer: its strength rises through the warm-up") {
    for (const auto& [epoch, left] : {std::pair{0.0, 4.0}, {1.0, 3.5}, {2.0, 3.0}, {9.0, 3.0}}) {
        Network network = network_of_two();
        std::ranges::fill(network.parameters()[0]->value, real{4});
        regularizer("type: l1, strength: 2, warmup_epochs: 2")->apply(network.arena(), 0.5, epoch, alone());
        for (const real value : network.parameters()[0]->value) CHECK(value == static_cast<real>(left));
    }
    CHECK(regularizer("type: none") == nullptr);
    CHECK_THROWS_AS(regularizer("type: l1"), InputError);
    CHECK_THROWS_AS(regularizer("type: l1, strength: 0"), InputError);
}

TEST_CASE("regularizer: group L2 over shards is that of the whole rows and columns") {
    const auto world = Communicator::world();
    const index_t ranks = world.size();
    const auto model = config_of("model: [{layer: dense, units: 9}, {layer: dense, units: 5}]");
    Network whole(model.list("model"), {4, 1, 1});
    Network part(model.list("model"), {4, 1, 1}, ModelShard{world.rank(), ranks, {}},
                 [&](const LayerPlace& place, Network::Exchange what, bool last) {
                     return make_exchange_layer(place, what, last, world);
                 });
    for (Network* network : {&whole, &part}) network->initialize(3);
    for (const std::string over : {"rows", "columns"}) {
        const auto group_l2 = regularizer("type: group_l2, strength: 0.5, over: " + over);
        group_l2->apply(whole.arena(), 0.25, 0, alone());
        group_l2->apply(part.arena(), 0.25, 0, world);
        CHECK(part.parameters()[0]->has_all_columns());  // dense1
        CHECK(part.parameters()[2]->has_all_columns() == (ranks == 1));
        for (std::size_t i = 0; i < whole.parameters().size(); ++i) {
            const Parameter &all = *whole.parameters()[i], &own = *part.parameters()[i];
            own.for_each_number([&](index_t k, weight_number_t number) {
                CHECK(double{own.value[static_cast<std::size_t>(k)]} ==
                      doctest::Approx(double{all.value[number - all.first_number]}).epsilon(1e-5));
            });
        }
    }
}
