#include <doctest/doctest.h>

#include "../support/training_twin.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

std::vector<real> numbered(Training& training, std::span<const real> values) {
    return by_number(training.arena(), values, training.experiment.grid.shards());
}

/// The mean loss of a batch with the present weights.
double mean_loss(Training& training, index_t batch) {
    return training.find_gradients(batch).loss / static_cast<double>(training.batch(batch).global_samples);
}

constexpr double tolerance = 2e-6;  // gradients of up to 1, in float

}  // namespace

TEST_CASE("training step: loss, correct samples and gradients are those of a twin, also of the short last batch") {
    for (const std::string sum : {"fast", "ordered"}) {
        CAPTURE(sum);
        Training training({"train.sum=" + sum});
        for (index_t batch = 0; batch < 4; ++batch) {
            CAPTURE(batch);
            CHECK(training.batch(batch).global_samples == (batch == 2 ? 7 : 8));
            const StepSums sums = training.find_gradients(batch, {.stop_requests = 1});
            const TwinSums twin = twin_sums(training, batch);
            CHECK(sums.loss == doctest::Approx(twin.loss).epsilon(1e-6));
            CHECK(sums.correct == twin.correct);
            CHECK(sums.stop_requests == static_cast<double>(training.slices.own().size));
            CHECK(difference(numbered(training, training.arena().gradients()), twin.gradients) < tolerance);
        }
    }
}

TEST_CASE("training step: gradients are central differences of the mean loss, with batch-norm over the whole batch") {
    Training training({"train.sum=ordered", "train.slices=3"},
                      "{layer: dense, units: 6}, {layer: batch_norm}, {layer: relu}, {layer: dense, units: 3}");
    constexpr index_t short_batch = 2;
    training.find_gradients(short_batch);
    const auto gradients = copy_of(training.arena().gradients());
    constexpr real h = 1e-2F;
    index_t compared = 0;
    for (std::size_t k = 0; k < gradients.size(); k += 3) {
        real& value = training.arena().values()[k];
        const real before = value;
        value = before + h;
        const double above = mean_loss(training, short_batch);
        value = before - h;
        const double below = mean_loss(training, short_batch);
        value = before;
        compared += std::abs((above - below) / (2 * h) - gradients[k]) < 5e-3;
    }
    CHECK(compared >= std::ssize(gradients) / 3 - 1);  // one weight may move a unit of the relu over 0
}

TEST_CASE("training step: a temperature divides the outputs, and so their gradients") {
    Training training;
    const TwinSums twin = twin_sums(training, 2, 4), plain = twin_sums(training, 2);
    const StepSums sums = training.find_gradients(2, {.temperature = 4});
    CHECK(sums.loss == doctest::Approx(twin.loss).epsilon(1e-6));
    CHECK(sums.loss != doctest::Approx(plain.loss).epsilon(1e-3));
    CHECK(sums.correct == plain.correct);
    CHECK(difference(numbered(training, training.arena().gradients()), twin.gradients) < tolerance);
}

TEST_CASE("training step: the same step again has the same bits, another step other dropout") {
    Training training({}, "{layer: dense, units: 40}, {layer: dropout}, {layer: dense, units: 3}");
    training.find_gradients(4);
    const auto first = copy_of(training.arena().gradients());
    training.step.begin(training.batch(4), {.training_step = 5});
    training.step.finish();
    CHECK(copy_of(training.arena().gradients()) != first);
    training.find_gradients(4);
    CHECK(copy_of(training.arena().gradients()) == first);
}

TEST_CASE("training step: an update by SGD is w - rate g, with decay of weights alone") {
    for (const double decay : {0.0, 0.5}) {
        CAPTURE(decay);
        Training training({text("optimizer.weight_decay=", decay), "optimizer.schedule.warmup_epochs=2"});
        training.find_gradients(1);
        Arena& arena = training.arena();
        const auto before = copy_of(arena.values()), gradients = copy_of(arena.gradients());
        // Of 6 warm-up steps this is the second one; half of the rate is left after going back.
        const double rate = 0.125 * 2 / 6 * 0.5;
        CHECK(training.step.learning_rate_at(1, 0.5) == doctest::Approx(rate));
        training.step.update(1, 0.5);
        double worst = 0;
        for (std::size_t i = 0; i < arena.parameters().size(); ++i) {
            const bool decayed = arena.parameters()[i]->name == "weight";
            for (std::size_t k = 0; k < arena.parameters()[i]->value.size(); ++k) {
                const auto at = static_cast<std::size_t>(arena.offset(i)) + k;
                const double expected = before[at] - rate * (gradients[at] + (decayed ? decay * before[at] : 0));
                worst = std::max(worst, std::abs(arena.values()[at] - expected));
            }
        }
        CHECK(worst < 1e-7);
    }
}

TEST_CASE("training step: a gradient longer than clip_norm is scaled to it, a shorter one is not") {
    for (const double clip : {0.01, 100.0}) {
        CAPTURE(clip);
        Training training({text("optimizer.clip_norm=", clip)});
        training.find_gradients(0);
        double squares = 0;
        for (const real gradient : training.arena().gradients()) squares += double{gradient} * gradient;
        const auto before = copy_of(training.arena().values());
        training.step.update(0, 1);
        double moved = 0;
        for (std::size_t k = 0; k < before.size(); ++k)
            moved += std::pow(static_cast<double>(training.arena().values()[k]) - before[k], 2);
        CHECK(std::sqrt(moved) == doctest::Approx(0.125 * std::min(std::sqrt(squares), clip)).epsilon(1e-4));
    }
}

TEST_CASE("training step: a criterion observes the gradients and weights of each step before the last event") {
    Training training(
        {"prune.final_sparsity=0.5", "prune.criterion=movement", "prune.schedule={type: one_shot, at_step: 2}"});
    Arena& arena = training.arena();
    std::vector<double> expected(arena.values().size());
    for (index_t step = 0; step < 2; ++step) {
        training.find_gradients(step);
        for (std::size_t i = 0; i < arena.parameters().size(); ++i) {
            const Parameter& parameter = *arena.parameters()[i];
            for (std::size_t k = 0; k < parameter.value.size() && parameter.prunable; ++k)
                expected[static_cast<std::size_t>(arena.offset(i)) + k] -=
                    double{parameter.gradient[k]} * parameter.value[k];
        }
        training.step.update(step, 1);
    }
    const auto observed = arena.slot(arena.slot_number("movement"));
    CHECK(difference(observed, expected) < 1e-6);
    CHECK(std::ranges::count(observed, real{0}) < std::ssize(observed) / 2);
    const auto before = copy_of(observed);
    training.find_gradients(2);
    training.step.update(2, 1);
    CHECK(copy_of(observed) == before);  // no event needs more
}

TEST_CASE("training step: after a rewinding of the learning rate alone, Adam begins anew") {
    Training training({"optimizer={type: adam, learning_rate: 0.01, epsilon: 1e-12}", "train.epochs=2",
                       "prune.final_sparsity=0.5",
                       "prune.schedule={type: rewinding, rounds: 1, rewind: learning_rate, to_step: 2}"});
    for (index_t step = 0; step < 6; ++step) {
        training.find_gradients(step);
        training.step.update(step, 1);
    }
    training.experiment.rewinding.rewind(6, 3, training.network());
    training.find_gradients(6);
    const auto before = copy_of(training.arena().values()), gradients = copy_of(training.arena().gradients());
    training.step.update(6, 1);
    for (std::size_t k = 0; k < before.size(); ++k) {
        if (std::abs(gradients[k]) < 1e-6) continue;
        CHECK(std::abs(training.arena().values()[k] - before[k]) == doctest::Approx(0.01).epsilon(1e-3));
    }
}

TEST_CASE("training step: after a rewinding, a regularizer is as weak as at the step to which training goes back") {
    Training training({"optimizer.regularizer={type: l1, strength: 0.5, warmup_epochs: 4}", "train.epochs=2",
                       "prune.final_sparsity=0.5",
                       "prune.schedule={type: rewinding, rounds: 1, rewind: weights, to_step: 2}"});
    training.find_gradients(6);
    Arena& arena = training.arena();
    const auto before = copy_of(arena.values()), gradients = copy_of(arena.gradients());
    training.step.update(6, 1);
    constexpr double shrinks_by = 0.125 * 0.5 * (2.0 / 3) / 4;  // step 6 is the third one again, of three per epoch
    for (std::size_t i = 0; i < arena.parameters().size(); ++i)
        for (std::size_t k = 0; k < arena.parameters()[i]->value.size(); ++k) {
            const auto at = static_cast<std::size_t>(arena.offset(i)) + k;
            double expected = before[at] - 0.125 * gradients[at];
            if (arena.parameters()[i]->prunable)
                expected = std::copysign(std::max(0.0, std::abs(expected) - shrinks_by), expected);
            CHECK(arena.values()[at] == doctest::Approx(expected).epsilon(1e-5));
        }
}

TEST_CASE("training step: repeated steps lower the loss of the whole training split") {
    Training training({"train.epochs=40"});
    const auto epoch_loss = [&] {
        double loss = 0;
        for (index_t batch = 0; batch < 3; ++batch) loss += training.find_gradients(batch).loss;
        return loss / 23;
    };
    const double before = epoch_loss();
    for (index_t step = 0; step < 120; ++step) {
        training.find_gradients(step);
        training.step.update(step, 1);
    }
    CHECK(epoch_loss() < 0.5 * before);
}

TEST_CASE("training step: values that slices set are summed over all of them") {
    for (const index_t slices : {1, 5, 8}) {
        CAPTURE(slices);
        Training training({slices == 1 ? "train.sum=fast" : "train.sum=ordered", text("train.slices=", slices)});
        std::vector<index_t> called;
        training.step.sum_over_slices([&](index_t slice, std::span<real> values) {
            called.push_back(slice);
            for (std::size_t k = 0; k < values.size(); ++k)
                values[k] = static_cast<real>((slice + 1) * (1 + static_cast<index_t>(k) % 11));
        });
        std::ranges::sort(called);
        std::vector<index_t> all;
        for (index_t slice = 0; slice < slices; ++slice) all.push_back(slice);
        CHECK(called == all);
        index_t wrong = 0;
        for (std::size_t k = 0; k < training.arena().gradients().size(); ++k)
            wrong += training.arena().gradients()[k] !=
                     static_cast<real>(slices * (slices + 1) / 2 * (1 + static_cast<index_t>(k) % 11));
        CHECK(wrong == 0);
    }
}
