#include <doctest/doctest.h>

#include "../support/training_twin.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

/// Weights are marked at steps 2 and 4, and removed at step 6.
std::vector<std::string> overrides(const std::string& more = "run.seed=3") {
    return {"prune.final_sparsity=0.75", "prune.straight_through=true", "optimizer.momentum=0.5",
            "prune.schedule={type: linear, start_step: 0, end_step: 6, every_steps: 2}", more};
}

void prune(Training& training, index_t step) {
    training.experiment.pruner->prune(step, training.network(), training.experiment.grid);
}

std::span<real> marks_of(Arena& arena) { return arena.slot(arena.slot_number(soft_pruned_slot)); }

/// The values that the network uses are 0 where there is a mark, and the weight elsewhere.
void check_masked(Training& training) {
    Arena& arena = training.arena();
    const auto values = copy_of(arena.values());
    {
        const auto masked = training.step.mask();
        CHECK(training.step.any_soft_pruned());
        index_t wrong = 0;
        for (std::size_t k = 0; k < values.size(); ++k)
            wrong += arena.values()[k] != (marks_of(arena)[k] == 0 ? values[k] : 0);
        CHECK(wrong == 0);
        const auto again = training.step.mask();  // within the other one
    }
    CHECK(copy_of(arena.values()) == values);
}

}  // namespace

TEST_CASE("soft-pruned weights: the mask follows the marks of each event, and what is done to the model") {
    Training training(overrides());
    { const auto masked = training.step.mask(); }
    CHECK_FALSE(training.step.any_soft_pruned());
    index_t before = 0;
    for (const index_t step : {2, 4}) {
        prune(training, step);
        const index_t marked = std::ranges::count_if(marks_of(training.arena()), [](real mark) { return mark != 0; });
        CHECK(marked > before);
        before = marked;
        check_masked(training);
    }
    training.experiment.model.repartition({}, Model::Weights::move);
    check_masked(training);
    std::vector<std::vector<std::uint8_t>> flags;  // the arena becomes shorter
    for (const auto* parameter : training.arena().parameters()) {
        flags.emplace_back(parameter->prunable ? parameter->value.size() : 0, 1);
        for (std::size_t k = 0; k < flags.back().size(); k += 3) flags.back()[k] = 0;
    }
    training.arena().keep(flags);
    check_masked(training);
    prune(training, 6);
    { const auto masked = training.step.mask(); }
    CHECK_FALSE(training.step.any_soft_pruned());
}

TEST_CASE("soft-pruned weights: forward and backward see 0, but the weights are updated") {
    Training training(overrides());
    prune(training, 4);
    Arena& arena = training.arena();
    const auto before = copy_of(arena.values());
    std::vector<real> used = before;
    for (std::size_t k = 0; k < used.size(); ++k)
        if (marks_of(arena)[k] != 0) used[k] = 0;
    const Grid& grid = training.experiment.grid;
    const TwinSums twin = twin_sums(training.experiment.dataset, training.experiment.sampler, 0, {5, 7, 3},
                                    by_number(arena, used, grid.shards()));
    CHECK(training.find_gradients(0).loss == doctest::Approx(twin.loss).epsilon(1e-6));
    CHECK(difference(by_number(arena, arena.gradients(), grid.shards()), twin.gradients) < 2e-6);
    const auto gradients = copy_of(arena.gradients());
    training.step.update(0, 1);
    double worst = 0;
    for (std::size_t k = 0; k < before.size(); ++k)
        worst = std::max(worst, std::abs(arena.values()[k] - (before[k] - 0.125 * gradients[k])));
    CHECK(worst < 1e-7);
}

TEST_CASE(
    "soft-pruned weights: frozen ones stay as they are, with a zero optimizer state; decay is of soft-pruned ones "
    "alone") {
    Training training(overrides("prune.hidden_trained=0.5")), decayed(overrides("prune.hidden_decay=0.25"));
    for (index_t step = 0; step < 2; ++step) {  // momentum that would move a frozen weight
        training.find_gradients(step);
        training.step.update(step, 1);
    }
    prune(training, 4);
    Arena& arena = training.arena();
    REQUIRE(std::ranges::count(marks_of(arena), real{1}) > 0);
    REQUIRE(std::ranges::count(marks_of(arena), real{2}) > 0);
    const auto before = copy_of(arena.values());
    for (index_t step = 0; step < 3; ++step) {
        training.find_gradients(step);
        training.step.update(step, 1);
    }
    index_t moved = 0;
    for (std::size_t k = 0; k < before.size(); ++k) {
        if (marks_of(arena)[k] == 2) {
            CHECK(arena.values()[k] == before[k]);
            CHECK(arena.slot(0)[k] == 0);
        } else if (marks_of(arena)[k] == 1) {
            moved += arena.values()[k] != before[k];
        }
    }
    CHECK(moved > 0);

    prune(decayed, 4);
    const auto values = copy_of(decayed.arena().values());
    decayed.find_gradients(0);
    const auto gradients = copy_of(decayed.arena().gradients());
    decayed.step.update(0, 1);
    double worst = 0;
    for (std::size_t k = 0; k < values.size(); ++k) {
        const double decay = marks_of(decayed.arena())[k] == 0 ? 0 : 0.25 * values[k];
        worst = std::max(worst, std::abs(decayed.arena().values()[k] - (values[k] - 0.125 * (gradients[k] + decay))));
    }
    CHECK(worst < 1e-7);
}

namespace {

/// Eight weights with momentum; the marks are set by hand.
struct Marked {
    Marked() : arena({&weight}) {
        arena.create_slots({"momentum", soft_pruned_slot});
        for (std::size_t k = 0; k < 8; ++k) {
            arena.values()[k] = static_cast<real>(k + 1);
            arena.gradients()[k] = arena.slot(0)[k] = real{1};
        }
    }
    static Parameter eight_weights() {
        Parameter made;
        made.name = "weight";
        made.pattern = Pattern(2, 4);
        return made;
    }
    void mark(const std::vector<real>& marks) {
        std::ranges::copy(marks, arena.slot(1).begin());
        arena.mark_changed();
    }
    /// The values that a network would use.
    std::vector<real> masked_values() {
        const SoftPrunedWeights::MaskScope masked(weights, arena, Communicator::world());
        return copy_of(arena.values());
    }
    /// An update that adds 10 x gradient, and 1 x momentum.
    void update() {
        weights.save_frozen(arena);
        gradients = copy_of(arena.gradients());
        for (std::size_t k = 0; k < 8; ++k) arena.values()[k] += 10 * arena.gradients()[k] + arena.slot(0)[k];
        weights.restore_frozen(arena, {"momentum"});
    }
    Parameter weight = eight_weights();
    Arena arena;
    SoftPrunedWeights weights;
    std::vector<real> gradients;  ///< that the update has seen
};

using Values = std::vector<real>;

}  // namespace

TEST_CASE("soft-pruned weights: the update sees no gradient of a frozen weight, so that a norm does not count it") {
    Marked marked;
    marked.mark({0, 2, 0, 1, 0, 0, 2, 1});
    CHECK(marked.masked_values() == Values{1, 0, 3, 0, 5, 6, 0, 0});
    marked.update();
    CHECK(marked.gradients == Values{1, 0, 1, 1, 1, 1, 0, 1});
    CHECK(copy_of(marked.arena.values()) == Values{12, 2, 14, 15, 16, 17, 7, 19});
    CHECK(copy_of(marked.arena.slot(0)) == Values{1, 0, 1, 1, 1, 1, 0, 1});
    CHECK(copy_of(marked.arena.slot(1)) == Values{0, 2, 0, 1, 0, 0, 2, 1});
}

TEST_CASE("soft-pruned weights: at the next event other weights are frozen, and the earlier ones are trained") {
    Marked marked;
    marked.mark({2, 2, 0, 0, 0, 0, 0, 0});
    marked.masked_values();
    marked.update();
    marked.mark({0, 1, 0, 0, 0, 0, 2, 0});
    CHECK(marked.masked_values() == Values{1, 0, 14, 15, 16, 17, 0, 19});
    std::ranges::fill(marked.arena.gradients(), real{1});
    marked.update();
    CHECK(copy_of(marked.arena.values()) == Values{11, 12, 25, 26, 27, 28, 18, 30});
    CHECK(copy_of(marked.arena.slot(0)) == Values{0, 0, 1, 1, 1, 1, 0, 1});
    marked.mark(Values(8));
    CHECK(marked.masked_values() == copy_of(marked.arena.values()));
    CHECK_FALSE(marked.weights.any());
}

TEST_CASE("soft-pruned weights: those that are all frozen are masked, too") {
    Marked marked;
    const std::vector<std::uint8_t> used{1, 0, 1, 1, 0, 1, 1, 1};
    mark_soft_pruned(marked.arena, {used}, {std::vector<std::uint8_t>(8, 0)});
    CHECK(copy_of(marked.arena.slot(1)) == Values{0, 2, 0, 0, 2, 0, 0, 0});
    CHECK(marked.masked_values() == Values{1, 0, 3, 4, 0, 6, 7, 8});
    CHECK(marked.weights.any());
    mark_soft_pruned(marked.arena, {used}, {{0, 0, 0, 0, 1, 0, 0, 0}});
    CHECK(copy_of(marked.arena.slot(1)) == Values{0, 2, 0, 0, 1, 0, 0, 0});
    mark_soft_pruned(marked.arena, {used});
    CHECK(copy_of(marked.arena.slot(1)) == Values{0, 1, 0, 0, 1, 0, 0, 0});
    mark_soft_pruned(marked.arena, {{}});
    CHECK(copy_of(marked.arena.slot(1)) == Values(8));
}

TEST_CASE("soft-pruned weights: the marks of a version are read once") {
    Marked marked;
    marked.mark({0, 1, 0, 0, 0, 0, 0, 0});
    marked.masked_values();
    CHECK(marked.weights.is_current(marked.arena.version()));
    marked.arena.slot(1)[0] = 1;  // of the same version: not seen
    CHECK(marked.masked_values() == Values{1, 0, 3, 4, 5, 6, 7, 8});
    marked.arena.mark_changed();
    CHECK_FALSE(marked.weights.is_current(marked.arena.version()));
    CHECK(marked.masked_values() == Values{0, 0, 3, 4, 5, 6, 7, 8});
}
