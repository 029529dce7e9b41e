// The bytes of the cost model against those of the parts that send them.
#include <doctest/doctest.h>

#include "../support/layer_bench.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/parallel/exchange_layer.hpp"
#include "pruntrain/parallel/gradient_reducer.hpp"
#include "pruntrain/plan/cost_model.hpp"

using namespace pruntrain;

TEST_CASE("cost model: the gradients that are summed are those of the reducer") {
    const auto world = Communicator::world();
    for (const index_t size : {index_t{1}, index_t{1000}, (index_t{1} << 18) + 1}) {
        Parameter parameter;
        parameter.pattern = Pattern(size, 1);
        Arena arena({&parameter});
        GradientReducer reducer(world);
        reducer.begin(arena);
        reducer.finish();
        StepWork work;
        work.values = static_cast<double>(size);
        const Prediction step = predict(work, {}, {}, placed(world.size(), 1, world.size()));
        CHECK(step.summed_bytes == static_cast<double>(reducer.bytes_summed()));
    }
}

TEST_CASE("cost model: shards send what the exchange layers hand to the gather") {
    const auto world = Communicator::world();
    if (world.size() == 1) return;
    Network network(
        config_of("model: [{layer: dense, units: 13}, {layer: relu}, {layer: dense, units: 17}]").list("model"),
        {5, 1, 1}, ModelShard{world.rank(), world.size(), {}},
        [&](const LayerPlace& place, Network::Exchange what, bool last) {
            return make_exchange_layer(place, what, last, world);
        });
    const Tiling tiling{20, 8};
    int exchanges = 0;
    for (std::size_t i = 0; i < network.layer_count(); ++i) {
        const Layer& layer = network.layer(i);
        const auto exchanged = layer.exchanged(tiling);
        if (exchanged.forward == 0) continue;
        ++exchanges;
        // A rank sends its block to all others.
        const std::uint64_t own = static_cast<std::uint64_t>(tiling.size(layer.input_shape().size())) * sizeof(real);
        std::uint64_t sent = own * static_cast<std::uint64_t>(world.size() - 1);
        world.all_reduce_sum(std::span(&sent, 1));
        const double of_a_rank = gather_sent_bytes(world.size(), static_cast<double>(exchanged.forward) * sizeof(real));
        CHECK(of_a_rank * world.size() == doctest::Approx(static_cast<double>(sent)));
    }
    CHECK(exchanges == 2);
}
