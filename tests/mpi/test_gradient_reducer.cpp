// The sum of an arena's gradients while backward runs, over prune events.
#include <doctest/doctest.h>

#include <algorithm>

#include "pruntrain/parallel/gradient_reducer.hpp"

using namespace pruntrain;

namespace {

/// A step in which `stride` more gradients are finished at a time. @return all sums are right
bool sum_is_right(GradientReducer& reducer, Arena& arena, index_t stride, const Communicator& world) {
    reducer.begin(arena);
    const auto gradients = arena.gradients();
    const index_t size = arena.size();
    for (index_t begin = 0; begin < size; begin += stride) {
        const index_t end = std::min(begin + stride, size);
        for (index_t i = begin; i < end; ++i)
            gradients[static_cast<std::size_t>(i)] = static_cast<real>(i % 1000 + world.rank());
        reducer.ready(end);
    }
    reducer.finish();
    bool right = reducer.values_reduced() == size && arena.gradients().data() == gradients.data();
    for (index_t i = 0; i < size; ++i)  // small whole numbers: exact in any order
        right = right && gradients[static_cast<std::size_t>(i)] ==
                             static_cast<real>(world.size() * (i % 1000) + world.size() * (world.size() - 1) / 2);
    return right;
}

}  // namespace

TEST_CASE("gradient reducer: sums the whole arena however backward progresses") {
    const auto world = Communicator::world();
    for (const index_t size : {index_t{1}, index_t{1000}, (index_t{1} << 18), (index_t{1} << 19) + 77})
        for (const index_t stride : {index_t{1} << 17, size}) {
            Parameter parameter;
            parameter.pattern = Pattern(size, 1);
            Arena arena({&parameter});
            GradientReducer reducer(world);
            CHECK(sum_is_right(reducer, arena, stride, world));
            CHECK(sum_is_right(reducer, arena, stride, world));
            CHECK(parameter.gradient.data() == arena.gradients().data());
            const bool alone = world.size() == 1;
            CHECK(reducer.bytes_summed() == (alone ? 0 : 2 * size * static_cast<index_t>(sizeof(real))));
        }
}

TEST_CASE("gradient reducer: follows the arena to fewer and to more weights") {
    const auto world = Communicator::world();
    Parameter weight, bias;
    weight.pattern = Pattern(300, 200);
    bias.pattern = Pattern(300, 1);
    Arena arena({&weight, &bias});
    GradientReducer reducer(world);
    CHECK(sum_is_right(reducer, arena, 300, world));
    for (int event = 0; event < 4; ++event) {
        std::vector<std::vector<std::uint8_t>> keep(2);
        const index_t every = event % 2 == 0 ? 3 : 10;  // a third is left, then nine tenths of it
        for (index_t k = 0; k < weight.pattern.kept(); ++k) keep[0].push_back((k % every == 0) == (every == 3));
        arena.keep(keep);
        for (int step = 0; step < 3; ++step) CHECK(sum_is_right(reducer, arena, 300, world));
        const std::size_t needed = world.size() == 1 ? 0 : static_cast<std::size_t>(arena.size()) * sizeof(real);
        CHECK(reducer.shared_bytes() >= needed);
        CHECK(3 * reducer.shared_bytes() <= 4 * needed);
    }
    arena.reset({Pattern(300, 200), Pattern(300, 1)});  // a checkpoint of an earlier step
    CHECK(arena.size() == 300 * 201);
    CHECK(sum_is_right(reducer, arena, 1000, world));
}
