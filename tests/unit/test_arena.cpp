// Arena: one packed array for all parameters, compacted as dense twins say.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>

#include "pruntrain/base/random.hpp"
#include "pruntrain/model/arena.hpp"

using namespace pruntrain;

namespace {

Parameter parameter(const char* name, index_t rows, index_t columns) {
    Parameter made;
    made.name = name;
    made.pattern = Pattern(rows, columns);
    return made;
}

/// The numbers of one packed range by dense position.
std::map<index_t, real> by_position(const Parameter& parameter, std::span<const real> packed) {
    std::map<index_t, real> all;
    const auto positions = parameter.pattern.dense_positions();
    for (std::size_t k = 0; k < positions.size(); ++k) all[positions[k]] = packed[k];
    return all;
}

}  // namespace

TEST_CASE("arena: parameters are in model order, their values in the order of backward") {
    auto a = parameter("a", 2, 3), b = parameter("b", 4, 1), c = parameter("c", 1, 5);
    Arena arena({&a, &b, &c});
    CHECK(arena.size() == 15);
    CHECK(arena.offset(2) == 0);
    CHECK(arena.offset(1) == 5);
    CHECK(arena.offset(0) == 9);
    CHECK(a.value.data() == arena.values().data() + 9);
    CHECK(b.gradient.data() == arena.gradients().data() + 5);
    CHECK(b.value.size() == 4);
    for (const real value : arena.values()) CHECK(value == 0);
    for (const real gradient : arena.gradients()) CHECK(gradient == 0);
}

TEST_CASE("arena: keep compacts values and slots together, in every parameter or none") {
    auto a = parameter("a", 6, 7), b = parameter("b", 9, 1), c = parameter("c", 3, 11);
    std::vector<Parameter*> order{&a, &b, &c};
    Arena arena(order);
    arena.create_slots({"m", "v"});
    for (index_t i = 0; i < arena.size(); ++i) {
        arena.values()[i] = static_cast<real>(i);
        arena.slot(0)[i] = static_cast<real>(1000 + i);
        arena.slot(1)[i] = static_cast<real>(-i);
    }
    const RandomStream random(3, Purpose::test);
    for (index_t event = 0; event < 3; ++event) {
        std::vector<std::vector<std::uint8_t>> flags(order.size());
        std::vector<std::map<index_t, real>> expected;
        for (std::size_t i = 0; i < order.size(); ++i) {
            auto numbers = by_position(*order[i], order[i]->value);
            if (order[i] != &b) {
                const auto positions = order[i]->pattern.dense_positions();
                for (std::size_t k = 0; k < positions.size(); ++k) {
                    const bool kept = random.uniform(static_cast<std::uint64_t>(event) * 1000 + 100 * i + k) < 0.5;
                    flags[i].push_back(kept ? 1 : 0);
                    if (!kept) numbers.erase(positions[k]);
                }
            }
            expected.push_back(numbers);
        }
        arena.keep(flags);
        index_t size = 0;
        for (std::size_t i = order.size(); i-- > 0;) {
            CHECK(arena.offset(i) == size);
            size += order[i]->pattern.kept();
            CHECK(by_position(*order[i], order[i]->value) == expected[i]);
        }
        CHECK(arena.size() == size);
        CHECK(b.pattern.full());
        for (index_t i = 0; i < size; ++i) {  // slots were a function of the value: they moved with it
            CHECK(arena.slot(0)[i] == 1000 + arena.values()[i]);
            CHECK(arena.slot(1)[i] == -arena.values()[i]);
            CHECK(arena.gradients()[i] == 0);
        }
    }
}

namespace {

Pattern random_pattern(index_t rows, index_t columns, double keep, std::uint64_t stream) {
    const RandomStream random(3, Purpose::test);
    std::vector<std::uint8_t> flags;
    for (index_t k = 0; k < rows * columns; ++k)
        flags.push_back(random.uniform(1000 * stream + static_cast<std::uint64_t>(k)) < keep ? 1 : 0);
    Pattern pattern(rows, columns);
    pattern.keep(flags);
    return pattern;
}

/// What a parameter's numbers become: those of positions that stay, 0 for new ones.
std::map<index_t, real> carried_over(const std::map<index_t, real>& numbers, const Pattern& pattern) {
    std::map<index_t, real> result;
    for (const index_t position : pattern.dense_positions())
        result[position] = numbers.count(position) ? numbers.at(position) : 0;
    return result;
}

}  // namespace

TEST_CASE("arena: new patterns bring zeros, and keep values and slots of what is in both") {
    auto a = parameter("a", 6, 7), b = parameter("b", 9, 1), c = parameter("c", 3, 11);
    const std::vector<Parameter*> order{&a, &b, &c};
    Arena arena(order);
    arena.create_slots({"m", "v"});
    for (index_t i = 0; i < arena.size(); ++i) arena.values()[i] = static_cast<real>(1 + i);
    for (std::uint64_t event = 0; event < 12; ++event) {
        CAPTURE(event);
        const bool through_full = event % 2 == 1;  // with values of all weights in between, and slots that wait
        for (std::size_t slot = 0; slot < 2; ++slot)
            for (index_t i = 0; i < arena.size(); ++i)
                arena.slot(slot)[i] = static_cast<real>(1000 * (slot + 1)) + arena.values()[i];
        std::vector<std::optional<Pattern>> patterns(3), full(3);
        std::vector<std::map<index_t, real>> values, slots;
        for (std::size_t i = 0; i < 3; ++i) {
            const Pattern& now = order[i]->pattern;
            if (i != 1)
                patterns[i] = random_pattern(now.rows(), now.columns(), event % 4 == 3 ? 1 : 0.4, 3 * event + i);
            if (i != 1) full[i] = Pattern(now.rows(), now.columns());
            const Pattern& next = patterns[i] ? *patterns[i] : now;
            const auto slot = arena.slot(1).subspan(static_cast<std::size_t>(arena.offset(i)));
            values.push_back(carried_over(by_position(*order[i], order[i]->value), next));
            slots.push_back(carried_over(by_position(*order[i], slot), next));
        }
        const index_t changes = a.pattern_changes;
        if (through_full) {
            arena.set_patterns(full, Arena::Slots::deferred);
            CHECK(arena.size() == 42 + 9 + 33);
            CHECK_THROWS_WITH(arena.keep({{}, {}, {}}),
                              "weights are removed while the optimizer state still has an old pattern");
        }
        arena.set_patterns(patterns);
        CHECK(a.pattern_changes > changes);
        CHECK(b.pattern_changes == 0);
        CHECK(b.pattern.full());
        index_t size = 0;
        for (std::size_t i = 3; i-- > 0;) {
            CHECK(arena.offset(i) == size);
            CHECK(by_position(*order[i], order[i]->value) == values[i]);
            CHECK(by_position(*order[i], arena.slot(1).subspan(static_cast<std::size_t>(size))) == slots[i]);
            size += order[i]->pattern.kept();
        }
        CHECK(arena.size() == size);
        CHECK(arena.slot_range().size == size);
        CHECK(arena.gradients().size() == static_cast<std::size_t>(size));
        for (index_t i = 0; i < size; ++i) {
            const bool is_new = arena.values()[i] == 0;
            CHECK(arena.slot(0)[i] == (arena.slot(1)[i] == 0 ? 0 : 1000 + arena.values()[i]));
            CHECK(arena.gradients()[i] == 0);
            if (is_new) arena.values()[i] = static_cast<real>(-100 * static_cast<int>(event) - i - 1);
        }
    }
    CHECK_THROWS_WITH(arena.set_patterns({{}}), "patterns were given for 1 of 3 parameters");
    CHECK_THROWS_WITH(arena.set_patterns({{}, {}, Pattern(11, 3)}), "a pattern of shape 11 x 3 for .c");
}

TEST_CASE("arena: memory falls with the weights") {
    auto a = parameter("a", 100, 100);
    Arena arena({&a});
    arena.create_slots({"m"});
    CHECK(arena.bytes() == 3 * 10000 * sizeof(real));
    std::vector<std::uint8_t> flags(10000, 0);
    std::fill_n(flags.begin(), 100, 1);
    arena.keep({flags});
    CHECK(arena.bytes() == 3 * 100 * sizeof(real) + 101 * sizeof(index_t) + 100 * sizeof(std::int32_t));
}

TEST_CASE("arena: reset takes patterns and starts from zeros") {
    auto a = parameter("a", 2, 2), b = parameter("b", 3, 1);
    Arena arena({&a, &b});
    arena.create_slots({"m"});
    std::fill(arena.values().begin(), arena.values().end(), real{7});
    std::fill(arena.slot(0).begin(), arena.slot(0).end(), real{7});
    arena.reset({Pattern(2, 2, {0, 1, 1}, {1}), Pattern(3, 1)});
    CHECK(arena.size() == 4);
    CHECK(a.value.size() == 1);
    CHECK(a.value.data() == arena.values().data() + 3);
    for (index_t i = 0; i < arena.size(); ++i) CHECK((arena.values()[i] == 0 && arena.slot(0)[i] == 0));
}

TEST_CASE("arena: every change of a pattern is counted, and no other") {
    auto a = parameter("a", 2, 2), b = parameter("b", 3, 1);
    Arena arena({&a, &b});
    const auto check = [&](index_t of_a, index_t of_b) {
        CHECK(a.pattern_changes == of_a);
        CHECK(b.pattern_changes == of_b);
    };
    check(0, 0);
    arena.keep({{1, 0, 1, 1}, {}});
    check(1, 0);
    arena.set_patterns({{}, Pattern(3, 1)});
    check(1, 1);
    arena.reset({Pattern(2, 2), Pattern(3, 1)});
    check(2, 2);
}

TEST_CASE("arena: after a reset no optimizer state waits for another pattern") {
    auto a = parameter("a", 2, 2);
    Arena arena({&a});
    arena.create_slots({"m"});
    arena.keep({{1, 0, 0, 1}});
    arena.set_patterns({Pattern(2, 2)}, Arena::Slots::deferred);
    CHECK(arena.slot(0).size() == 2);
    arena.reset({Pattern(2, 2)});
    CHECK(arena.slot(0).size() == 4);
    CHECK_NOTHROW(arena.keep({{1, 0, 1, 1}}));
    CHECK(arena.slot(0).size() == 3);
}

TEST_CASE("arena: flags must be given for all parameters") {
    auto a = parameter("a", 2, 2), b = parameter("b", 3, 1);
    Arena arena({&a, &b});
    CHECK_THROWS_WITH(arena.keep({{}}), "flags were given for 1 of 2 parameters");
}

TEST_CASE("arena: gradients live in memory that is given, values stay") {
    auto a = parameter("a", 4, 5), b = parameter("b", 3, 1);
    Arena arena({&a, &b});
    for (index_t i = 0; i < arena.size(); ++i) arena.values()[i] = static_cast<real>(i);
    const std::vector<real> before(arena.values().begin(), arena.values().end());
    std::vector<real> memory(30, real{9});
    arena.place_gradients(memory);
    CHECK(arena.gradients().data() == memory.data());
    CHECK(arena.gradients().size() == 23);
    CHECK(a.gradient.data() == memory.data() + 3);
    CHECK(std::equal(before.begin(), before.end(), arena.values().begin()));
    CHECK(a.value.data() == arena.values().data() + 3);
    CHECK(std::count(memory.begin(), memory.end(), real{0}) == 23);
    CHECK(std::count(memory.begin(), memory.end(), real{9}) == 7);  // not its own

    std::fill(memory.begin(), memory.end(), real{9});
    std::vector<std::uint8_t> flags(20, 0);
    std::fill_n(flags.begin(), 5, 1);
    arena.keep({flags, {}});  // fewer: the front of the same memory
    CHECK(arena.gradients().data() == memory.data());
    CHECK(arena.gradients().size() == 8);
    CHECK(a.gradient.data() == memory.data() + 3);
    CHECK(std::count(memory.begin(), memory.end(), real{0}) == 8);
    CHECK(arena.values()[3] == before[3]);

    std::vector<real> smaller(8, real{9});
    arena.place_gradients(smaller);
    CHECK(arena.gradients().data() == smaller.data());
    std::fill(memory.begin(), memory.end(), real{9});
    arena.reset({Pattern(4, 5), Pattern(3, 1)});  // more than the memory holds: own memory
    CHECK(arena.gradients().size() == 23);
    for (real& gradient : arena.gradients()) {
        CHECK(gradient == 0);
        gradient = 1;
    }
    CHECK(std::count(smaller.begin(), smaller.end(), real{0}) == 8);
    CHECK(std::count(memory.begin(), memory.end(), real{9}) == 30);
}

TEST_CASE("arena: its version counts what changes the weights, but no update") {
    auto a = parameter("a", 4, 5), b = parameter("b", 3, 1);
    Arena arena({&a, &b});
    std::uint64_t version = arena.version();
    const auto changed = [&] {
        const bool larger = arena.version() > version;
        version = arena.version();
        return larger;
    };
    std::vector<real> memory(30);
    arena.values()[0] = 3;
    arena.place_gradients(memory);
    CHECK(!changed());
    arena.create_slots({"m"});
    CHECK(changed());
    arena.keep({std::vector<std::uint8_t>(20, 1), {}});
    CHECK(changed());
    arena.set_patterns({Pattern(4, 5), {}});
    CHECK(changed());
    arena.reset({Pattern(4, 5), Pattern(3, 1)});
    CHECK(changed());
    arena.mark_changed();
    CHECK(changed());
    auto other_a = parameter("a", 4, 5);
    Arena other({&other_a});
    other.supersede(arena);
    CHECK(other.version() > arena.version());
}

TEST_CASE("arena: memory that is too small for the gradients is refused") {
    auto a = parameter("a", 2, 2);
    Arena arena({&a});
    std::vector<real> memory(3);
    CHECK_THROWS_WITH(arena.place_gradients(memory), "there is memory for 3 of 4 gradients");
    CHECK(a.gradient.data() == arena.gradients().data());
    for (const real gradient : arena.gradients()) CHECK(gradient == 0);
}
