#include "pruntrain/data/dataset.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "pruntrain/base/error.hpp"
#include "pruntrain/config/choose.hpp"
#include "pruntrain/data/gather_tile.hpp"

namespace pruntrain {

namespace {

struct Keys {
    std::unique_ptr<DataFormat> format;
    index_t validation_samples = 0;
    index_t test_samples = 0;
    std::uint64_t split_seed = 0;
    bool measured = false;
    Normalization given;
};

Keys read_keys(const Config& section) {
    Keys keys;
    keys.format = choose(data_formats(), section, "format", std::nullopt, "where the samples come from");
    keys.validation_samples = section.integer("validation_samples", 0, at_least(0),
                                              "samples of the training files that are kept for validation");
    keys.test_samples =
        section.integer("test_samples", 0, at_least(0),
                        "samples of the training files that are kept for the test, if there is no test file");
    keys.split_seed = static_cast<std::uint64_t>(
        section.integer("split_seed", 0, at_least(0), "another seed keeps other samples for validation and test"));
    const std::string normalization =
        section.choice("normalization", "measured", {"measured", "given", "none"},
                       "inputs are shifted and scaled to mean 0 and deviation 1, channel by channel: as measured on "
                       "the training samples, with given numbers, or not at all");
    keys.measured = normalization == "measured";
    if (normalization == "given" || section.is_describing()) {
        const Config given = section.member("normalization: given");
        keys.given.mean = given.numbers("mean", std::nullopt, {}, "mean of the inputs, one or one for each channel");
        keys.given.deviation = given.numbers("deviation", std::nullopt, above(0), "their standard deviation, likewise");
    }
    return keys;
}

/// The headers of the training and the test files. Sent as bytes from rank to rank.
struct Headers {
    SampleHeader train, test;
    bool has_test = false;

    friend bool operator==(const Headers&, const Headers&) = default;
};
static_assert(std::is_trivially_copyable_v<Headers>);

Headers headers_of(const SampleSource& train, const SampleSource* test) {
    Headers headers{train.header(), {}, test != nullptr};
    if (test == nullptr) return headers;
    headers.test = test->header();
    SampleHeader as_test = headers.train;
    as_test.samples = headers.test.samples;
    const auto describe = [](const SampleHeader& header) {
        return text("inputs of ", header.shape.describe(), header.element == Element::byte ? " bytes" : " numbers",
                    " and ", header.target_width, " target(s)");
    };
    if (headers.test != as_test)
        input_error("training and test samples differ: ", describe(headers.train), " against ", describe(headers.test));
    return headers;
}

/// One number for each feature of a sample, from one for all or one for each channel.
std::vector<real> for_each_feature(const std::vector<double>& values, const Shape& shape) {
    std::vector<real> result;
    for (index_t feature = 0; feature < shape.size(); ++feature)
        result.push_back(static_cast<real>(values.size() == 1 ? values[0] : values[feature / shape.pixels()]));
    return result;
}

void check_length(const Config& section, const std::string& key, const std::vector<double>& values,
                  const Shape& shape) {
    const auto length = static_cast<index_t>(values.size());
    if (length != 1 && length != shape.channels)
        input_error(section.place_of(key), " has ", length, " numbers: allowed is 1, or one for each of ",
                    shape.channels, " channels");
}

}  // namespace

Dataset::Dataset(const Config& section, const Communicator& world) {
    const Keys keys = read_keys(section);
    const Communicator node = world.node();

    // One rank of each node opens the files; what they hold must be the same on all nodes.
    std::unique_ptr<SampleSource> train_source, test_source;
    Headers own;
    world.together([&] {
        if (!node.is_root()) return;
        train_source = keys.format->open(Part::train);
        test_source = keys.format->open(Part::test);
        own = headers_of(*train_source, test_source.get());
    });
    Headers headers = own;
    world.broadcast(std::span(&headers, 1));
    header_ = headers.train;
    train_.samples = headers.train.samples;
    test_.samples = headers.has_test ? headers.test.samples : 0;
    set_splits(keys.validation_samples, keys.test_samples, keys.split_seed);
    if (!keys.measured) {
        normalization_ = keys.given;
        check_length(section, "mean", normalization_.mean, header_.shape);
        check_length(section, "deviation", normalization_.deviation, header_.shape);
    }

    const auto features = static_cast<std::size_t>(header_.shape.size());
    for (PartSamples* part : {&train_, &test_}) {
        const auto samples = static_cast<std::size_t>(part->samples);
        if (samples == 0) continue;
        part->features = SharedWindow(node, samples * features * size_of(header_.element));
        part->targets = SharedWindow(node, samples * static_cast<std::size_t>(header_.target_width) * sizeof(float));
    }
    world.together([&] {
        if (!node.is_root()) return;
        if (own != headers) input_error("the data files on one node differ in size from those on the first node");
        const auto read = [](const SampleSource& source, const PartSamples& part) {
            const auto targets = part.targets.bytes();
            source.read(part.features.bytes(),
                        {reinterpret_cast<float*>(targets.data()), targets.size() / sizeof(float)});
        };
        read(*train_source, train_);
        if (test_source) read(*test_source, test_);
        if (keys.measured && world.is_root())
            normalization_ = header_.element == Element::byte ? measure<std::uint8_t>() : measure<float>();
    });
    for (const PartSamples* part : {&train_, &test_}) {
        part->features.publish();
        part->targets.publish();
    }

    if (keys.measured) {  // one rank measures, so that no two processors differ in a bit
        normalization_.mean.resize(static_cast<std::size_t>(header_.shape.channels));
        normalization_.deviation.resize(normalization_.mean.size());
        world.broadcast(std::span(normalization_.mean));
        world.broadcast(std::span(normalization_.deviation));
    }
    feature_mean_ = for_each_feature(normalization_.mean, header_.shape);
    feature_scale_ = for_each_feature(normalization_.deviation, header_.shape);
    for (real& scale : feature_scale_) scale = 1 / scale;
}

void Dataset::describe(const Config& section) { read_keys(section); }

void Dataset::set_splits(index_t validation_samples, index_t test_samples, std::uint64_t seed) {
    if (test_.samples > 0 && test_samples > 0)
        input_error("data.test_samples is ", test_samples, ", but there are test files with ", test_.samples,
                    " samples: set it to 0, or name no test files");
    if (validation_samples >= train_.samples || test_samples >= train_.samples - validation_samples)
        input_error("data.validation_samples ", validation_samples, " and data.test_samples ", test_samples,
                    " leave nothing to train with: the training files hold ", train_.samples, " samples");
    const index_t kept_back = validation_samples + test_samples;
    split_samples_ = {train_.samples - kept_back, validation_samples, test_.samples > 0 ? test_.samples : test_samples};
    if (kept_back > 0) order_.emplace(train_.samples, RandomStream(seed, Purpose::split));
}

index_t Dataset::samples(Split split) const { return split_samples_[static_cast<std::size_t>(split)]; }

const Dataset::PartSamples& Dataset::part_of(Split split) const {
    return split == Split::test && test_.samples > 0 ? test_ : train_;
}

index_t Dataset::position(Split split, index_t sample) const {
    if (&part_of(split) == &test_ || !order_) return sample;
    if (split != Split::train) sample += samples(Split::train);
    if (split == Split::test) sample += samples(Split::validation);
    return (*order_)(sample);
}

std::size_t Dataset::bytes_per_node() const {
    std::size_t bytes = 0;
    for (const PartSamples* part : {&train_, &test_})
        bytes += part->features.bytes().size() + part->targets.bytes().size();
    return bytes;
}

void Dataset::check_classes(index_t classes) const {
    for (const PartSamples* part : {&train_, &test_}) {
        const float* const targets = part->target_numbers();
        for (index_t i = 0; i < part->samples * header_.target_width; ++i) {
            const auto target = static_cast<double>(targets[i]);
            if (!(target >= 0 && target < static_cast<double>(classes) && target == std::floor(target)))
                input_error("sample ", i / header_.target_width, " of the ", part == &train_ ? "training" : "test",
                            " files has the label ", target, ": allowed are whole numbers from 0 to ", classes - 1,
                            ", one for each of the ", classes, " outputs of the network");
        }
    }
}

/// Mean and deviation of each channel over the training split, in double and in the order of the split. Differences to
/// a first value are summed: exactly 0 where a channel is constant, and no digits are lost where its mean is large.
template <class Stored>
Normalization Dataset::measure() const {
    const auto channels = static_cast<std::size_t>(header_.shape.channels);
    const index_t pixels = header_.shape.pixels();
    const auto sample_at = [&](index_t sample) {
        return train_.features_as<Stored>() + position(Split::train, sample) * header_.shape.size();
    };
    const auto mean_of = [&](const auto& value_of) {
        std::vector<double> means(channels, 0.0);
        for (index_t n = 0; n < samples(Split::train); ++n) {
            const Stored* value = sample_at(n);
            for (std::size_t channel = 0; channel < channels; ++channel) {
                double sum = 0;
                for (index_t pixel = 0; pixel < pixels; ++pixel)
                    sum += value_of(channel, static_cast<double>(*value++));
                means[channel] += sum;
            }
        }
        for (double& mean : means) mean /= static_cast<double>(samples(Split::train) * pixels);
        return means;
    };

    Normalization measured{{}, {}};
    std::vector<double> shift;
    for (index_t channel = 0; channel < header_.shape.channels; ++channel)
        shift.push_back(static_cast<double>(sample_at(0)[channel * pixels]));
    measured.mean = mean_of([&](std::size_t channel, double x) { return x - shift[channel]; });
    for (std::size_t channel = 0; channel < channels; ++channel) measured.mean[channel] += shift[channel];
    const auto variances = mean_of([&](std::size_t channel, double x) {
        const double difference = x - measured.mean[channel];
        return difference * difference;
    });
    for (const double variance : variances) {
        if (!std::isfinite(variance)) input_error("the training inputs hold values that are not finite numbers");
        measured.deviation.push_back(variance > 0 ? std::sqrt(variance) : 1.0);
    }
    return measured;
}

void Dataset::assemble(Split split, std::span<const index_t> samples, const Tiling& tiling, real* x,
                       float* targets) const {
    if (header_.element == Element::byte) assemble_from<std::uint8_t>(split, samples, tiling, x, targets);
    else assemble_from<float>(split, samples, tiling, x, targets);
}

template <class Stored>
void Dataset::assemble_from(Split split, std::span<const index_t> samples, const Tiling& tiling, real* x,
                            float* targets) const {
    const PartSamples& part = part_of(split);
    const index_t features = header_.shape.size(), width = tiling.width;
    std::vector<const Stored*> sources(static_cast<std::size_t>(width));
    for (index_t tile = 0; tile < tiling.tiles(); ++tile, x += features * width) {
        const index_t lanes = tiling.lanes(tile);
        for (index_t lane = 0; lane < lanes; ++lane) {
            const index_t from = position(split, samples[tile * width + lane]);
            sources[lane] = part.features_as<Stored>() + from * features;
            targets = std::copy_n(part.target_numbers() + from * header_.target_width, header_.target_width, targets);
        }
        std::fill(sources.begin() + lanes, sources.end(), sources[0]);  // padding: anything, cleared below
        gather_tile(sources, feature_mean_, feature_scale_.data(), x);
        if (lanes == width) continue;
        for (index_t feature = 0; feature < features; ++feature)
            std::fill_n(x + feature * width + lanes, width - lanes, real{0});
    }
}

}  // namespace pruntrain
