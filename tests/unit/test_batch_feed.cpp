#include <doctest/doctest.h>

#include <cstring>

#include "../support/training.hpp"
#include "pruntrain/train/batch_feed.hpp"
#include "pruntrain/train/evaluation.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

/// A data set whose last batch of an epoch is short.
struct Samples {
    explicit Samples(index_t samples = 23, const std::string& more = "")
        : dataset(Config::parse(
                      text("data: {format: synthetic, shape: [2, 2, 2], classes: 3, samples: ", samples, more, "}"),
                      "test.yaml", {})
                      .section("data"),
                  Communicator::world()),
          sampler(samples, global_batch, 5) {}

    static constexpr index_t global_batch = 8;
    Dataset dataset;
    Sampler sampler;
};

/// Features and target of one training sample, assembled alone.
std::vector<float> sample_alone(const Dataset& dataset, index_t number) {
    const index_t features = dataset.shape().size();
    std::vector<real> x(static_cast<std::size_t>(features) * 8);
    float target = 0;
    dataset.assemble(Split::train, std::span(&number, 1), {1, 8}, x.data(), &target);
    std::vector<float> found;
    for (index_t feature = 0; feature < features; ++feature) found.push_back(x[feature * 8]);
    found.push_back(target);
    return found;
}

/// Likewise, of all samples of a batch, in their order in the global batch. All slices are this rank's.
std::vector<std::vector<float>> samples_of(const Batch& batch, index_t features, index_t width) {
    std::vector<std::vector<float>> found;
    for (const Slice& slice : batch.slices) {
        CHECK(slice.first == std::ssize(found));
        for (index_t sample = 0; sample < slice.samples; ++sample) {
            std::vector<float>& one = found.emplace_back();
            for (index_t feature = 0; feature < features; ++feature)
                one.push_back(slice.input[(sample / width * features + feature) * width + sample % width]);
            one.push_back(batch.targets[found.size() - 1]);
        }
    }
    return found;
}

std::vector<std::vector<float>> expected_samples(const Samples& samples, index_t step) {
    std::vector<index_t> numbers;
    samples.sampler.draw(step, samples.sampler.part(step, 0, 1), numbers);
    std::vector<std::vector<float>> found;
    for (const index_t number : numbers) found.push_back(sample_alone(samples.dataset, number));
    return found;
}

/// Fast: one slice; else ordered.
Slices slices_of(index_t count) {
    return count == 1 ? Slices(Communicator::world()) : Slices(Communicator::world(), count);
}

}  // namespace

TEST_CASE("batch feed: the slices hold the samples that the sampler draws, in every tile width") {
    const Samples samples;
    for (const index_t count : {1, 3, 5})
        for (const index_t width : {8, 16}) {
            CAPTURE(count);
            CAPTURE(width);
            BatchFeed feed(samples.dataset, samples.sampler, slices_of(count), 8);
            for (index_t step = 0; step < 7; ++step) {  // over the end of two epochs
                const Batch& batch = feed.batch(step, width);
                CHECK(std::ssize(batch.slices) == count);
                CHECK(batch.global_samples == (step % 3 == 2 ? 7 : 8));
                CHECK(batch.samples() == batch.global_samples);
                CHECK(std::ssize(batch.targets) == batch.global_samples);
                CHECK(samples_of(batch, 8, width) == expected_samples(samples, step));
            }
        }
}

TEST_CASE("batch feed: lanes without a sample are 0, whatever the batch before had there") {
    const Samples samples;
    BatchFeed feed(samples.dataset, samples.sampler, slices_of(1), 8);
    feed.batch(1, 8);
    const Batch& batch = feed.batch(2, 8);
    REQUIRE(batch.samples() == 7);
    for (index_t feature = 0; feature < 8; ++feature) CHECK(batch.slices[0].input[feature * 8 + 7] == 0);
}

TEST_CASE("batch feed: of a batch with fewer samples than slices, some slices are empty") {
    const Samples samples(10);
    BatchFeed feed(samples.dataset, samples.sampler, slices_of(4), 2);
    const Batch& batch = feed.batch(1, 8);
    CHECK(batch.global_samples == 2);
    CHECK(std::ranges::count_if(batch.slices, [](const Slice& slice) { return slice.samples == 0; }) == 2);
    CHECK(samples_of(batch, 8, 8) == expected_samples(samples, 1));
    feed.batch(0, 8);
    CHECK(samples_of(feed.batch(1, 8), 8, 8) == expected_samples(samples, 1));
}

TEST_CASE("batch feed: a prepared batch is there when its step begins, and is not assembled again") {
    const Samples samples;
    BatchFeed feed(samples.dataset, samples.sampler, slices_of(3), 3);
    feed.batch(4, 8);
    feed.prepare(5, 8, 6);
    constexpr real mark = -12345;
    real& first = *feed.batch(5, 8).slices[1].input;
    const real value = first;
    first = mark;
    feed.prepare(5, 8, std::nullopt);
    CHECK(*feed.batch(5, 8).slices[1].input == mark);

    SUBCASE("another step takes its place") {
        CHECK(samples_of(feed.batch(6, 8), 8, 8) == expected_samples(samples, 6));
        CHECK(*feed.batch(5, 8).slices[1].input == value);
    }
    SUBCASE("another tile width: the same samples, assembled again") {
        CHECK(samples_of(feed.batch(5, 16), 8, 16) == expected_samples(samples, 5));
        CHECK(samples_of(feed.batch(5, 8), 8, 8) == expected_samples(samples, 5));
    }
    SUBCASE("a step is prepared after another one: the last one counts") {
        feed.prepare(7, 8, std::nullopt);
        feed.prepare(1, 16, std::nullopt);
        CHECK(samples_of(feed.batch(1, 16), 8, 16) == expected_samples(samples, 1));
    }
}

TEST_CASE("batch feed: what else the network computes leaves a prepared batch as it is") {
    Training training, twin;
    training.batch(0);
    training.feed.prepare(1, 8, std::nullopt);
    Network& network = training.network();
    evaluate(network, *training.experiment.loss, training.experiment.dataset, Split::validation, training.slices);
    network.reserve(1000);
    std::fill_n(network.input(), network.input_tiling(1000).size(5), real{7});
    CHECK(samples_of(training.batch(1), 5, 8) == samples_of(twin.batch(1), 5, 8));
    // Nor does the step that the batch is for.
    training.find_gradients(1);
    CHECK(samples_of(training.batch(1), 5, 8) == samples_of(twin.batch(1), 5, 8));
}

TEST_CASE("batch feed: samples that are read ahead are those of the step that follows, or unused") {
    const Samples samples, split(23, ", residency: shard");
    REQUIRE(split.dataset.reads_ahead());
    BatchFeed feed(split.dataset, split.sampler, slices_of(3), 3);
    for (const auto& [step, after] : std::vector<std::pair<index_t, index_t>>{{0, 1}, {1, 2}, {2, 7}, {3, 3}, {0, 9}}) {
        feed.prepare(step, 8, after);
        CHECK(samples_of(feed.batch(step, 8), 8, 8) == expected_samples(samples, step));
    }
}
