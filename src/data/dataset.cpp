#include "pruntrain/data/dataset.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/config/choose.hpp"
#include "pruntrain/data/gather_tile.hpp"
#include "src/data/class_names.hpp"

namespace pruntrain {

namespace {

constexpr std::size_t most_names = 20;  // of classes, in a message

struct Keys {
    std::unique_ptr<DataFormat> format;
    std::string residency;
    Splits splits;
    ClassLabels labels;
    bool measured = false;
    Normalization given;
    std::vector<std::string> class_names;
};

Keys read_keys(const Config& section, const DataNeeds& needs) {
    Keys keys;
    keys.format = choose(data_formats(), section, "format", std::nullopt, "format of the data files", needs);
    keys.residency = section.choice(
        "residency", "node", sample_stores().names(),
        "where the samples are stored; node: all of them in the memory of each node; shard: partitioned over the "
        "nodes' memories; disk: in the files (hdf5; npy and idx without gzip), read per batch; targets are always in "
        "memory");
    keys.splits = Splits(section);
    keys.labels = ClassLabels(section);
    const std::string normalization =
        section.choice("normalization", "measured", {"measured", "given", "none"},
                       "normalization of each input channel to mean 0 and std 1; measured: mean and std of the "
                       "training samples; given: given mean and std; none: off");
    keys.measured = normalization == "measured";
    if (normalization == "given" || section.is_describing()) {
        const Config given = section.member("normalization: given");
        keys.given.mean = given.numbers("mean", std::nullopt, {}, "mean of the inputs, one value or one per channel");
        given.alias("std", "deviation");
        keys.given.deviation = given.numbers("std", std::nullopt, above(0),
                                             "standard deviation of the inputs, one value or one per channel");
    }
    keys.class_names =
        section.words("class_names", std::vector<std::string>{},
                      "names of the classes in the order of their indices from 0; []: the words of the training files");
    return keys;
}

/// What the training and the test files hold. Sent as bytes between ranks.
struct Headers {
    SampleHeader common;  // of all samples
    index_t train = 0, test = 0;

    friend bool operator==(const Headers&, const Headers&) = default;
};
static_assert(std::is_trivially_copyable_v<Headers>);

/// @param sources  of the training and the test files; null if there are none
Headers headers_of(const std::array<std::unique_ptr<SampleSource>, 2>& sources) {
    std::array<SampleHeader, 2> of_part;
    Headers headers;
    for (std::size_t part = 0; part < sources.size(); ++part)
        if (sources[part]) headers.common = of_part[part] = sources[part]->header();
    headers.train = of_part[0].samples;
    headers.test = of_part[1].samples;
    headers.common.samples = headers.train + headers.test;
    if (!sources[0] || !sources[1]) return headers;
    const auto describe = [](const SampleHeader& header) {
        return text("inputs of ", header.shape.describe(), header.element == Element::byte ? " bytes" : " values",
                    " and ", header.target_width, " target(s)");
    };
    SampleHeader as_train = of_part[1];
    as_train.samples = headers.train;
    if (of_part[0] != as_train)
        input_error("training and test samples have different shapes: ", describe(of_part[0]), " against ",
                    describe(of_part[1]));
    return headers;
}

/// One value per feature of a sample, from one for all or one per channel.
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
        input_error(section.place_of(key), " has ", length, " values: allowed is 1, or one for each of ",
                    shape.channels, " channels");
}

}  // namespace

Dataset::Dataset(const Config& section, const Communicator& world, const DataNeeds& needs)
    : Dataset(section, world, world.node(), needs) {}

Dataset::Dataset(const Config& section, const Communicator& world, const Communicator& node, const DataNeeds& needs)
    : targets_are_(needs.targets ? Targets::as_stored : Targets::absent) {
    const Keys keys = read_keys(section, needs);
    residency_ = keys.residency;
    splits_ = keys.splits;
    labels_ = keys.labels;

    // One rank of each node opens the files; their contents must be the same on all nodes.
    CheckedFormat format(*keys.format);
    Headers own;
    Sources sources;
    bool wide = false;
    world.rethrow_collectively([&] {
        if (!node.is_root()) return;
        if (needs.training) sources[0] = format.open(Part::train);
        sources[1] = format.open(Part::test);
        if (!needs.targets && !sources[1])
            input_error(
                "samples without targets must be in test files: name them, as data.test_file or "
                "data.test_inputs");
        if (!sources[0] && !sources[1]) sources[0] = format.open(Part::train);
        if (!sources[0] && keys.measured)
            input_error(
                "data.normalization is measured, but a network needs the mean and std of its own training "
                "samples: leave data.normalization out, as the checkpoint has both");
        own = headers_of(sources);
        const SampleSource& first = sources[0] ? *sources[0] : *sources[1];
        wide = first.is_wide();
        layout_hint_ = first.layout_hint();
        for (std::size_t part = 0; part < sources.size(); ++part)
            if (sources[part]) names_[part] = sources[part]->names();
        class_names_ = sources[0] ? names_of_classes(keys.class_names, first) : keys.class_names;
        input_names_ = first.input_names();
    });
    broadcast(class_names_, world);
    broadcast(input_names_, world);
    Headers headers = own;
    world.broadcast(std::span(&headers, 1));
    world.broadcast(std::span(&wide, 1));
    for (SampleNames& names : names_) {
        world.broadcast_text(names.inputs);
        world.broadcast_text(names.targets);
    }
    world.broadcast_text(layout_hint_);
    header_ = headers.common;
    part_samples_ = {headers.train, headers.test};
    splits_.set_sizes(samples_of(Part::train), samples_of(Part::test));
    if (has_targets() && !labels_.plain() && header_.target_width != 1)
        input_error(labels_.key(), " is for one label per sample, but the targets have ", header_.target_width,
                    " values: leave it out");
    if (!keys.measured) {
        normalization_ = keys.given;
        const index_t trained = std::ssize(normalization_.mean), found = header_.shape.channels;
        if (!needs.training && trained > 1 && trained != found)
            input_error(names_[headers.train > 0 ? 0 : 1].inputs, " has samples of ", found, " channels or features, ",
                        "but the network was trained on ", trained,
                        found > trained ? ": leave the others out (csv: data.leave_out, data.target)"
                        : needs.targets ? ": if the file has no targets, evaluate it with --no-targets"
                                        : "");
        check_length(section, "mean", normalization_.mean, header_.shape);
        check_length(section, "std", normalization_.deviation, header_.shape);
        if (wide) offsets_ = offsets_of(normalization_, header_.shape.channels);
    }
    world.rethrow_collectively([&] {
        if (node.is_root() && own != headers)
            input_error("the data files on one node differ in size from those on the first node");
    });
    world.rethrow_collectively([&] {
        for (std::size_t part = 0; part < sources.size(); ++part)
            if (sources[part] && has_targets())
                class_maps_[part] = map_classes(*sources[part], class_names_, !class_maps_[0].empty());
        if (!labels_.plain() && !class_maps_[0].empty())
            input_error(labels_.key(), " is for labels that are numbers, but the targets of ", names_[0].targets,
                        " are words (", join_some(class_names_, most_names), "): leave it out, as words have the ",
                        "classes 0, 1, .. in sorted order, or in that of data.class_names");
    });

    format.set_offsets(offsets_);
    load(offsets_.empty() ? std::move(sources) : Sources{}, format, world, node);
    if (splits_.stratified() && headers.train > 0) splits_.stratify(targets_of(Part::train), header_.target_width);
    if (keys.measured && measure_normalization(format, wide, world)) {
        format.set_offsets(offsets_);
        store_.reset();  // before the next one takes memory
        load({}, format, world, node);
    }
    std::vector<double> stored_mean = normalization_.mean;  // of x - offset
    if (!offsets_.empty()) stored_mean.resize(offsets_.size(), stored_mean[0]);
    for (std::size_t channel = 0; channel < offsets_.size(); ++channel) stored_mean[channel] -= offsets_[channel];
    feature_mean_ = for_each_feature(stored_mean, header_.shape);
    feature_scale_ = for_each_feature(normalization_.deviation, header_.shape);
    for (real& scale : feature_scale_) scale = 1 / scale;
}

void Dataset::describe(const Config& section) { read_keys(section, {}); }

void Dataset::load(Sources sources, const CheckedFormat& format, const Communicator& world, const Communicator& node) {
    SampleFiles files{format, {}};
    for (const Part part : {Part::train, Part::test}) {
        auto& of_part = files.parts[static_cast<std::size_t>(part)];
        of_part.header = header_;
        of_part.header.samples = samples_of(part);
        if (samples_of(part) == 0) continue;
        auto& targets = targets_[static_cast<std::size_t>(part)];
        targets = SharedWindow(node, static_cast<std::size_t>(samples_of(part) * header_.target_width) * sizeof(float));
        of_part.targets = targets_of(part);
    }
    world.rethrow_collectively([&] {
        if (!node.is_root()) return;
        for (const Part part : {Part::train, Part::test}) {
            if (samples_of(part) == 0) continue;
            auto& source = sources[static_cast<std::size_t>(part)];
            files.parts[static_cast<std::size_t>(part)].source = source ? std::move(source) : format.open(part);
        }
    });
    store_ = sample_stores().find(residency_)(std::move(files), world, node);
    if (node.is_root())
        for (const Part part : {Part::train, Part::test})
            apply_map(class_maps_[static_cast<std::size_t>(part)], targets_of(part));
    for (const SharedWindow& targets : targets_) targets.publish();
}

bool Dataset::measure_normalization(const CheckedFormat& format, bool wide, const Communicator& world) {
    const index_t channels = header_.shape.channels;
    world.rethrow_collectively([&] {  // fetching samples of other nodes needs no call of their ranks
        if (!world.is_root()) return;
        normalization_ = header_.element == Element::byte ? measure<std::uint8_t>() : measure<float>();
        const Offsets needed = wide ? offsets_of(normalization_, channels) : Offsets{};
        if (needed.empty()) return;
        std::vector<bool> left_out(static_cast<std::size_t>(samples_of(Part::train)), true);
        for (index_t n = 0; n < samples(Split::train); ++n)
            left_out[static_cast<std::size_t>(splits_.position(Split::train, n))] = false;
        const Normalization exactly = measure_in_double(*format.open(Part::train), left_out);
        for (std::size_t channel = 0; channel < needed.size(); ++channel) {
            if (needed[channel] == 0) continue;
            normalization_.mean[channel] = exactly.mean[channel];
            normalization_.deviation[channel] = exactly.deviation[channel];
        }
    });
    normalization_.mean.resize(channels);
    normalization_.deviation.resize(normalization_.mean.size());
    world.broadcast(std::span(normalization_.mean));
    world.broadcast(std::span(normalization_.deviation));
    if (wide) offsets_ = offsets_of(normalization_, channels);
    return !offsets_.empty();
}

std::span<float> Dataset::targets_of(Part part) const {
    const auto bytes = targets_[static_cast<std::size_t>(part)].bytes();
    return {reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float)};
}

std::string Dataset::describe_shape() const {
    return text("the samples of ", names_[0].inputs, " are ", header_.shape.flat() ? "vectors of " : "images of ",
                header_.shape.describe(), header_.shape.flat() ? "" : " (channels x rows x columns)",
                layout_hint_.empty() ? "" : "; ", layout_hint_);
}

Part Dataset::part_of(Split split) const { return splits_.in_train_files(split) ? Part::train : Part::test; }

std::vector<index_t> Dataset::positions(Split split, std::span<const index_t> samples) const {
    std::vector<index_t> all;
    all.reserve(samples.size());
    for (const index_t sample : samples) all.push_back(splits_.position(split, sample));
    return all;
}

std::size_t Dataset::bytes_per_node() const {
    return store_->bytes_per_node() + targets_[0].bytes().size() + targets_[1].bytes().size();
}

/// Calls `take` with the features of samples of a split, in pieces: they may have to be fetched from other nodes or
/// files.
template <class Take>
void Dataset::for_each_piece(Split split, const Block& block, const Take& take) const {
    constexpr std::size_t piece_bytes = std::size_t{4} << 20;
    const auto piece = static_cast<index_t>(std::max<std::size_t>(1, piece_bytes / header_.sample_bytes()));
    std::vector<index_t> from;
    std::vector<const std::byte*> features;
    const index_t end = block.first + block.size;
    for (index_t first = block.first; first < end; first += piece) {
        from.clear();
        for (index_t n = first; n < std::min(first + piece, end); ++n) from.push_back(splits_.position(split, n));
        features.resize(from.size());
        store_->fetch(part_of(split), from, features);
        take(std::span<const std::byte* const>(features));
    }
}

void Dataset::check_held_out(const Communicator& world) const {
    if (store_->has_read_all() || header_.element == Element::byte) return;  // bytes are finite
    world.rethrow_collectively([&] {
        for (const Split split : {Split::validation, Split::test})
            for_each_piece(split, even_block(samples(split), world.rank(), world.size()), [](const auto&) {});
    });
}

/// Mean and std of each channel over the training split, in double and in the order of the split. It sums differences
/// to the first value. So a constant channel has exactly std 0, and a large mean loses no digits.
template <class Stored>
Normalization Dataset::measure() const {
    const auto channels = static_cast<std::size_t>(header_.shape.channels);
    const index_t pixels = header_.shape.pixels();
    const auto mean_of = [&](const auto& value_of) {
        std::vector<double> means(channels, 0.0);
        for_each_piece(Split::train, {0, samples(Split::train)}, [&](std::span<const std::byte* const> features) {
            for (const std::byte* sample : features) {
                const auto* value = reinterpret_cast<const Stored*>(sample);
                for (std::size_t channel = 0; channel < channels; ++channel) {
                    double sum = 0;
                    for (index_t pixel = 0; pixel < pixels; ++pixel)
                        sum += value_of(channel, static_cast<double>(*value++));
                    means[channel] += sum;
                }
            }
        });
        for (double& mean : means) mean /= static_cast<double>(samples(Split::train) * pixels);
        return means;
    };

    Normalization measured{{}, {}};
    std::vector<double> shift;
    for_each_piece(Split::train, {0, 1}, [&](std::span<const std::byte* const> first) {
        for (index_t channel = 0; channel < header_.shape.channels; ++channel)
            shift.push_back(static_cast<double>(reinterpret_cast<const Stored*>(first[0])[channel * pixels]));
    });
    measured.mean = mean_of([&](std::size_t channel, double x) { return x - shift[channel]; });
    for (std::size_t channel = 0; channel < channels; ++channel) measured.mean[channel] += shift[channel];
    const auto variances = mean_of([&](std::size_t channel, double x) {
        const double difference = x - measured.mean[channel];
        return difference * difference;
    });
    for (const double variance : variances) measured.deviation.push_back(variance > 0 ? std::sqrt(variance) : 1.0);
    return measured;
}

void Dataset::prefetch(Split split, std::span<const index_t> samples) const {
    store_->prefetch(part_of(split), positions(split, samples));
}

void Dataset::assemble(Split split, std::span<const index_t> samples, const Tiling& tiling, real* x,
                       float* targets) const {
    if (header_.element == Element::byte) assemble_from<std::uint8_t>(split, samples, tiling, x, targets);
    else assemble_from<float>(split, samples, tiling, x, targets);
}

template <class Stored>
void Dataset::assemble_from(Split split, std::span<const index_t> samples, const Tiling& tiling, real* x,
                            float* targets) const {
    const Part part = part_of(split);
    const auto from = positions(split, samples);
    std::vector<const std::byte*> stored(from.size());
    try {
        store_->fetch(part, from, stored);
    } catch (const WrongValue& error) {
        throw LocalInputError(error.what());
    } catch (const InputError& error) {
        fault("the samples of a batch cannot be read: ", error.what());
    }
    const float* const all_targets = targets_of(part).data();
    const index_t features = header_.shape.size(), width = tiling.width;
    std::vector<const Stored*> sources(static_cast<std::size_t>(width));
    for (index_t tile = 0; tile < tiling.tiles(); ++tile, x += features * width) {
        const index_t lanes = tiling.lanes(tile);
        for (index_t lane = 0; lane < lanes; ++lane) {
            const auto sample = static_cast<std::size_t>(tile * width + lane);
            sources[lane] = reinterpret_cast<const Stored*>(stored[sample]);
            targets = take_target(all_targets + from[sample] * header_.target_width, targets);
        }
        std::fill(sources.begin() + lanes, sources.end(), sources[0]);  // padding: any valid pointer, cleared below
        gather_tile(sources, feature_mean_, feature_scale_.data(), x);
        if (lanes == width) continue;
        for (index_t feature = 0; feature < features; ++feature)
            std::fill_n(x + feature * width + lanes, width - lanes, real{0});
    }
}

}  // namespace pruntrain
