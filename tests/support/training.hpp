// A small experiment on synthetic data with the parts of a training step, as the training loop builds them.
#pragma once

#include <algorithm>
#include <cmath>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "pruntrain/base/text.hpp"
#include "pruntrain/train/training_step.hpp"

namespace pruntrain::test {

inline const std::string adam = "optimizer={type: adam, learning_rate: 0.01}";  ///< an override
inline const std::string dense_layers = "{layer: dense, units: 7}, {layer: relu}, {layer: dense, units: 3}";

/// 23 training samples in batches of 8: the last batch of an epoch has 7.
/// @param overrides  "key.path=value"
inline Config experiment_config(const std::string& layers, const std::vector<std::string>& overrides) {
    const std::string sections = R"(
run: {name: test, seed: 3}
data: {format: synthetic, samples: 29, shape: 5, classes: 3, hidden: 4, validation_samples: 6}
train: {epochs: 4, global_batch: 8, execution: dense}
optimizer: {type: sgd, momentum: 0, learning_rate: 0.125}
)";
    return Config::parse(text(sections, "model: [", layers, "]\n"), "test.yaml", overrides);
}

struct Training {
    explicit Training(const std::vector<std::string>& overrides = {}, const std::string& layers = dense_layers,
                      const Communicator& world = Communicator::world())
        : experiment(experiment_config(layers, overrides), world),
          slices(experiment.slices()),
          profile(false, {}),
          feed(experiment.dataset, experiment.sampler, slices,
               experiment.slice_samples(experiment.grid.replicas().size())),
          step(experiment, slices, profile) {}

    const Batch& batch(index_t number) { return feed.batch(number, network().input_tiling(0).width); }
    /// The gradients of a batch, in the arena.
    StepSums find_gradients(index_t number, StepOptions options = {}) {
        options.training_step = number;
        step.begin(batch(number), options);
        return step.finish();
    }
    Network& network() { return experiment.model.network(); }
    Arena& arena() { return experiment.model.arena(); }

    Experiment experiment;
    Slices slices;
    Profile profile;
    BatchFeed feed;
    TrainingStep step;
};

/// The values of an array as long as the arena, by the number of the weight in the whole model; 0 where a weight was
/// removed. Collective over the shards.
inline std::vector<real> by_number(const Arena& arena, std::span<const real> values, const Communicator& shards) {
    index_t size = 0;
    for (const auto* parameter : arena.parameters()) size += parameter->tensor_size();
    std::vector<double> all(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < arena.parameters().size(); ++i)
        arena.parameters()[i]->for_each_number([&](index_t k, weight_number_t number) {
            all[number] = values[static_cast<std::size_t>(arena.offset(i) + k)];
        });
    shards.all_reduce_sum(std::span(all));
    return {all.begin(), all.end()};
}

template <class Values>
std::vector<real> copy_of(const Values& values) {
    return {values.begin(), values.end()};
}

/// The largest difference of two arrays.
template <class A, class B>
double difference(const A& a, const B& b) {
    if (std::size(a) != std::size(b)) return INFINITY;
    double largest = 0;
    for (std::size_t i = 0; i < std::size(a); ++i)
        largest = std::max(largest, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    return largest;
}

/// Collects what is printed while it lives.
class PrintedText {
   public:
    PrintedText() : before_(std::cout.rdbuf(stream_.rdbuf())) {}
    ~PrintedText() { std::cout.rdbuf(before_); }
    PrintedText(const PrintedText&) = delete;
    PrintedText& operator=(const PrintedText&) = delete;
    /// What was printed since the last call.
    std::string take() {
        std::string printed = stream_.str();
        stream_.str({});
        return printed;
    }

   private:
    std::ostringstream stream_;
    std::streambuf* before_;
};

/// Removes weights, without regard to how the model is partitioned; in the first layer all
/// of two units.
inline void remove_weights(Arena& arena, weight_number_t unit, weight_number_t other) {
    std::vector<std::vector<std::uint8_t>> flags(arena.parameters().size());
    for (std::size_t i = 0; i < flags.size(); ++i) {
        const Parameter& parameter = *arena.parameters()[i];
        if (!parameter.prunable) continue;
        const auto columns = static_cast<weight_number_t>(parameter.tensor_columns());
        parameter.for_each_number([&](index_t, weight_number_t number) {
            const weight_number_t row = (number - parameter.first_number) / columns;
            flags[i].push_back(number * 7 % 5 < 3 && (parameter.layer != "dense1" || (row != unit && row != other)));
        });
    }
    arena.keep(flags);
}

}  // namespace pruntrain::test
