// The packed optimizers against dense twins with masks, written from the papers' formulas.
#include <doctest/doctest.h>

#include <cmath>

#include "pruntrain/base/random.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/optim/learning_rate.hpp"
#include "pruntrain/optim/optimizer.hpp"

using namespace pruntrain;

namespace {

/// A dense optimizer on doubles in which a masked weight is held at zero, its state too.
struct DenseTwin {
    std::string type = {};
    double momentum = 0.9, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
    bool nesterov = false;
    std::vector<double> w = {}, first = {}, second = {};

    void update(const std::vector<double>& gradient, const std::vector<bool>& mask, double rate, double decay, int t) {
        first.resize(w.size());
        second.resize(w.size());
        for (std::size_t i = 0; i < w.size(); ++i) {
            if (!mask[i]) {
                w[i] = first[i] = second[i] = 0;
                continue;
            }
            double g = gradient[i];
            if (type == "sgd") {
                g += decay * w[i];
                first[i] = momentum * first[i] + g;
                w[i] -= rate * (nesterov ? g + momentum * first[i] : first[i]);
                continue;
            }
            if (type == "adamw") w[i] -= rate * decay * w[i];
            else g += decay * w[i];
            first[i] = beta1 * first[i] + (1 - beta1) * g;
            second[i] = beta2 * second[i] + (1 - beta2) * g * g;
            w[i] -= rate * first[i] / (1 - std::pow(beta1, t)) /
                    (std::sqrt(second[i] / (1 - std::pow(beta2, t))) + epsilon);
        }
    }
};

void compare(const std::string& type, const std::string& keys, double decay, const DenseTwin& prototype) {
    const Config config =
        Config::parse("model: [{layer: dense, units: 6, bias: false}]\no: {type: " + type + keys + "}", "test", {});
    Network network(config.list("model"), {5, 1, 1});
    network.initialize(3);
    const auto optimizer = optimizers().find(type)(config.section("o"));
    Arena& arena = network.arena();
    arena.create_slots(optimizer->slot_names());
    Parameter& weight = *network.parameters()[0];
    DenseTwin twin = prototype;
    twin.type = type;
    for (const real value : weight.value) twin.w.push_back(value);
    std::vector<bool> mask(twin.w.size(), true);
    const RandomStream random(11, Purpose::test);
    std::uint64_t draw = 0;
    for (int t = 1; t <= 30; ++t) {
        if (t == 10 || t == 20) {  // two prune events
            std::vector<std::vector<std::uint8_t>> keep(1);
            const auto positions = weight.pattern.dense_positions();
            for (const index_t p : positions) {
                keep[0].push_back(random.uniform(draw++) < 0.6);
                mask[static_cast<std::size_t>(p)] = keep[0].back() != 0;
            }
            arena.keep(keep);
        }
        std::vector<double> gradient(twin.w.size());
        for (auto& g : gradient) g = static_cast<real>(random.normal(draw++));
        const auto positions = weight.pattern.dense_positions();
        for (std::size_t k = 0; k < positions.size(); ++k)
            weight.gradient[k] = static_cast<real>(gradient[static_cast<std::size_t>(positions[k])]);
        update_parameters(*optimizer, arena, t, 0.01, decay, 0, Communicator::world());
        twin.update(gradient, mask, 0.01, decay, t);
        for (std::size_t k = 0; k < positions.size(); ++k)
            // 30 updates of float rounding, each about 1e-7 of numbers near 1
            CHECK(weight.value[k] == doctest::Approx(twin.w[static_cast<std::size_t>(positions[k])]).epsilon(1e-5));
    }
}

}  // namespace

TEST_CASE("optimizers: packed updates equal a dense twin with masks") {
    compare("sgd", ", momentum: 0", 0.1, {.momentum = 0});
    compare("sgd", "", 0.1, {});
    compare("sgd", ", nesterov: true, momentum: 0.8", 0, {.momentum = 0.8, .nesterov = true});
    compare("adam", "", 0.1, {});
    compare("adam", ", beta1: 0.8, beta2: 0.99, epsilon: 0.001", 0, {.beta1 = 0.8, .beta2 = 0.99, .epsilon = 1e-3});
    compare("adamw", "", 0.1, {});
}

TEST_CASE("optimizers: every member with every slot takes a gradient step downhill") {
    for (const auto& member : optimizers().members()) {
        const Config config = Config::parse("o: {type: " + member.name + "}", "test", {});
        const auto optimizer = member.make(config.section("o"));
        std::vector<real> value(37, real{1}), gradient(37, real{1});
        std::vector<std::vector<real>> state(optimizer->slot_names().size(), std::vector<real>(37));
        std::vector<std::span<real>> slots(state.begin(), state.end());
        optimizer->update({.number = 1, .learning_rate = 0.1}, value, gradient, slots);
        for (const real w : value) CHECK(w == doctest::Approx(0.9).epsilon(1e-4));
    }
}

TEST_CASE("optimizers: every member gives the same bits however the range is cut") {
    constexpr std::size_t size = 75;  // whole vectors of every instruction set and a rest
    const RandomStream random(3, Purpose::test);
    for (const auto& member : optimizers().members())
        for (const double decay : {0.0, 0.01}) {
            INFO(member.name);
            const Config config = Config::parse("o: {type: " + member.name + "}", "test", {});
            const auto optimizer = member.make(config.section("o"));
            const auto run = [&](std::size_t cut) {
                std::vector<real> value(size), gradient(size);
                std::vector<std::vector<real>> state(optimizer->slot_names().size(), std::vector<real>(size));
                for (std::size_t i = 0; i < size; ++i) value[i] = static_cast<real>(random.normal(i));
                for (index_t t = 1; t <= 3; ++t) {
                    for (std::size_t i = 0; i < size; ++i)
                        gradient[i] = static_cast<real>(random.normal(static_cast<std::size_t>(t) * size + i));
                    for (const auto& [begin, end] : {std::pair(std::size_t{0}, cut), std::pair(cut, size)}) {
                        std::vector<std::span<real>> slots;
                        for (auto& slot : state) slots.push_back(std::span(slot).subspan(begin, end - begin));
                        optimizer->update(
                            {.number = t, .learning_rate = 0.013, .weight_decay = decay, .gradient_scale = 0.7},
                            std::span(value).subspan(begin, end - begin),
                            std::span(gradient).subspan(begin, end - begin), slots);
                    }
                }
                state.push_back(value);
                return state;
            };
            const auto whole = run(0);
            for (std::size_t cut = 1; cut < size; ++cut) CHECK(run(cut) == whole);
        }
}

TEST_CASE("optimizers: clipping by the global norm scales all gradients alike; biases have no decay") {
    const Config config = Config::parse("model: [{layer: dense, units: 3}]\no: {momentum: 0}", "test", {});
    Network network(config.list("model"), {4, 1, 1});
    const auto optimizer = optimizers().find("sgd")(config.section("o"));
    Arena& arena = network.arena();
    for (auto& value : arena.values()) value = 1;
    for (auto& gradient : arena.gradients()) gradient = 2;
    const double norm = 2 * std::sqrt(15.0);
    CHECK(update_parameters(*optimizer, arena, 1, 1, 0, norm / 2, Communicator::world()) == doctest::Approx(norm));
    for (const real value : arena.values()) CHECK(value == doctest::Approx(0));
    CHECK(update_parameters(*optimizer, arena, 1, 1, 0, 10 * norm, Communicator::world()) == doctest::Approx(norm));
    for (const real value : arena.values()) CHECK(value == doctest::Approx(-2));
    for (auto& gradient : arena.gradients()) gradient = 0;
    update_parameters(*optimizer, arena, 1, 1, 0.5, 0, Communicator::world());
    for (const real value : network.parameters()[0]->value) CHECK(value == doctest::Approx(-1));
    for (const real value : network.parameters()[1]->value) CHECK(value == doctest::Approx(-2));
}

TEST_CASE("learning rate: warm-up, shapes, ends") {
    const RunLength length{.steps_per_epoch = 10, .steps = 100};
    const auto rate = [&](const std::string& yaml) {
        return LearningRate(Config::parse("s: {" + yaml + "}", "test", {}).section("s"), 2, length);
    };
    CHECK(rate("type: constant").at(0) == 2);
    CHECK(rate("type: constant").at(99) == 2);
    const auto warm = rate("type: constant, warmup_epochs: 2");
    CHECK(warm.at(0) == doctest::Approx(0.1));
    CHECK(warm.at(9) == doctest::Approx(1));
    CHECK(warm.at(19) == doctest::Approx(2));
    const auto steps = rate("type: step, every_epochs: 3, factor: 0.1");
    CHECK(steps.at(29) == doctest::Approx(2));
    CHECK(steps.at(30) == doctest::Approx(0.2));
    CHECK(steps.at(60) == doctest::Approx(0.02));
    const auto cosine = rate("type: cosine, final_fraction: 0.5, warmup_epochs: 2");
    CHECK(cosine.at(20) == doctest::Approx(2));
    CHECK(cosine.at(60) == doctest::Approx(1.5));  // halfway of what follows the warm-up
    CHECK(cosine.at(100) == doctest::Approx(1));
    for (const auto& member : rate_shapes().members()) {
        const auto any = rate("type: " + member.name);
        for (index_t step = 0; step <= 100; ++step) CHECK(std::isfinite(any.at(step)));
    }
}
