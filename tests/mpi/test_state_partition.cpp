// Slots that replicas share out against slots that each has for itself.
#include <doctest/doctest.h>

#include <algorithm>

#include "../support/layer_bench.hpp"
#include "pruntrain/optim/optimizer.hpp"
#include "pruntrain/parallel/state_partition.hpp"

using namespace pruntrain;

namespace {

struct Trained {
    Trained(index_t rows, std::optional<StatePartition> sharing)
        : optimizer(optimizers().find("adam")(config_of("{}"))) {
        weight.pattern = Pattern(rows, 50);
        bias.pattern = Pattern(rows, 1);
        weight.decayed = true;
        arena = std::make_unique<Arena>(std::vector<Parameter*>{&bias, &weight});
        arena->create_slots(optimizer->slot_names(), std::move(sharing));
        const auto values = random_numbers(arena->size(), 1);
        std::ranges::copy(values, arena->values().begin());
    }

    void keep_one_of(index_t every) {
        std::vector<std::vector<std::uint8_t>> flags(2);
        for (index_t k = 0; k < weight.pattern.kept(); ++k) flags[1].push_back(k % every == 1 || k < 7);
        arena->keep(flags);
    }

    std::unique_ptr<Optimizer> optimizer;
    Parameter weight, bias;
    std::unique_ptr<Arena> arena;
};

}  // namespace

TEST_SUITE("many ranks") {
    TEST_CASE("optimizer shards: the same bits as without sharing, over steps and prune events") {
        const auto world = Communicator::world();
        const auto alone = world.split(world.rank());
        for (const index_t rows : {1, 3, 40, 200}) {  // also fewer cache lines than ranks
            Trained shared(rows, partition_state(world)), own(rows, {});
            const auto both = [&](auto work) {
                work(shared);
                work(own);
                const Block range = shared.arena->slot_range();
                CHECK(shared.arena->state_is_partitioned());
                CHECK(range.size <= shared.arena->size() / world.size() + 32);
                bool same = std::ranges::equal(shared.arena->values(), own.arena->values());
                for (std::size_t slot = 0; slot < 2; ++slot) {
                    const auto expected = own.arena->slot(slot).subspan(static_cast<std::size_t>(range.first),
                                                                        static_cast<std::size_t>(range.size));
                    same = same && std::ranges::equal(shared.arena->slot(slot), expected);
                }
                CHECK(same);
            };
            index_t number = 0;
            for (const index_t every : {3, 2, 10}) {
                for (int i = 0; i < 3; ++i) {
                    ++number;
                    both([&](Trained& trained) {
                        const auto gradients =
                            random_numbers(trained.arena->size(), static_cast<std::uint32_t>(number));
                        std::ranges::copy(gradients, trained.arena->gradients().begin());
                        update_parameters(*trained.optimizer, *trained.arena, number, 0.01, 0.1, 1, alone);
                        if (&trained == &shared) all_gather_values(*trained.arena, world);
                    });
                }
                both([&](Trained& trained) { trained.keep_one_of(every); });
            }
        }
    }
}
