#include "pruntrain/data/array_source.hpp"

#include <algorithm>
#include <charconv>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/config/choose.hpp"
#include "pruntrain/data/file_list.hpp"

namespace pruntrain {

namespace {

using Dimensions = std::vector<index_t>;

/// Targets without dimensions of length 1 that carry nothing: (1,N), (N,1) and (N,1,1) are (N).
Dimensions without_ones(const Dimensions& targets, index_t samples) {
    if (targets.size() == 2 && targets[0] == 1 && targets[1] == samples) return {samples};
    Dimensions shorter = targets;
    while (shorter.size() > 1 && shorter.back() == 1) shorter.pop_back();
    return shorter;
}

/// Checks the targets. @return the number of their columns
index_t columns_of(const ArrayReader& targets, const ArrayReader& inputs, const ArrayOptions& options) {
    const Dimensions& in = inputs.dimensions();
    const Dimensions out = without_ones(targets.dimensions(), in[0]);
    // Sample counts that agree only as the last dimensions, which are the longer ones if targets have two as well.
    const Dimensions& stored = targets.dimensions();
    const bool both_last = !stored.empty() && stored.back() == in.back() && in.back() > std::max(in[0], stored[0]);
    const bool is_transposed =
        in.back() != in[0] && !out.empty() && out[0] != in[0] && (out[0] == in.back() || both_last);
    if (is_transposed || (out.size() <= 2 && !out.empty() && in[0] != out[0]))
        input_error(inputs.source(), " holds ", in[0], " samples, but ", targets.source(), " holds ", out[0],
                    ": give inputs and targets of the same samples (their dimensions are ", crossed(in), " and ",
                    crossed(stored), ")",
                    is_transposed && !options.transposed_hint.empty() ? "; " + options.transposed_hint : "");
    if (out.size() != 1 && out.size() != 2)
        input_error(targets.source(), " holds targets of ",
                    out.empty() ? "a single value" : crossed(targets.dimensions()),
                    ": allowed are (samples) and (samples, targets)");
    const index_t columns = out.size() == 2 ? out[1] : 1;
    if (options.label_column.value_or(0) >= columns)
        input_error("data.label_column is ", *options.label_column, ", but ", targets.source(), " has ", columns,
                    " columns: allowed are 0 to ", columns - 1, " and all");
    if (columns > 1 && options.needs_label_column && targets.holds_integers())
        input_error(targets.source(), " holds targets of ", crossed(targets.dimensions()),
                    ": set data.label_column to the column with the class labels (0 in QMNIST), or to all");
    return columns;
}

SampleHeader header_of(const ArrayReader& inputs, const ArrayReader* targets, const ArrayOptions& options) {
    const Dimensions& in = inputs.dimensions();
    const bool channels_last = options.layout == ImageLayout::nhwc;
    SampleHeader header;
    if (in.size() == 2) header.shape = {in[1], 1, 1};
    else if (in.size() == 3) header.shape = {1, in[1], in[2]};
    else if (in.size() == 4) header.shape = channels_last ? Shape{in[3], in[1], in[2]} : Shape{in[1], in[2], in[3]};
    else
        input_error(inputs.source(), " holds inputs of ", in.empty() ? "a single value" : crossed(in),
                    ": allowed are (samples, features), (samples, rows, columns) and (samples, channels, rows, "
                    "columns)",
                    in.size() == 1  ? "; for one feature per sample use array.reshape(-1, 1)"
                    : in.size() > 4 ? "; for dense layers use array.reshape(len(array), -1)"
                                    : "");
    const index_t columns = targets != nullptr ? columns_of(*targets, inputs, options) : 1;
    header.samples = in[0];
    header.target_width = options.label_column ? 1 : columns;
    header.element = inputs.holds_bytes() ? Element::byte : Element::float32;
    return header;
}

/// "" unless the dimensions of images look like those of another layout.
std::string hint_at_layout(const ArrayReader& inputs, ImageLayout layout) {
    const Dimensions& in = inputs.dimensions();
    if (in.size() != 4) return "";
    const auto are_channels = [](index_t length) { return length == 1 || length == 3 || length == 4; };
    const bool looks_last = are_channels(in[3]) && !are_channels(in[1]);
    const bool looks_first = are_channels(in[1]) && !are_channels(in[3]);
    if (layout == ImageLayout::nchw ? !looks_last : !looks_first) return "";
    return text("if the channels are the ", looks_last ? "last" : "second", " dimension, set data.layout to ",
                looks_last ? "nhwc" : "nchw");
}

std::string layout_warning(const ArrayReader& inputs, const Shape& shape, ImageLayout layout) {
    const std::string hint = hint_at_layout(inputs, layout);
    if (hint.empty()) return "";
    return text(inputs.source(), " of ", crossed(inputs.dimensions()), " is read as ", shape.channels, " channels of ",
                shape.rows, "x", shape.columns, ": ", hint);
}

/// Samples (rows, columns, channels) become (channels, rows, columns).
template <class T>
void channels_first(const Shape& shape, T* numbers, index_t samples) {
    const index_t pixels = shape.pixels(), channels = shape.channels, size = shape.size();
    if (channels == 1 || pixels == 1) return;
    std::vector<T> sample(static_cast<std::size_t>(size));
    for (index_t n = 0; n < samples; ++n, numbers += size) {
        std::copy_n(numbers, size, sample.begin());
        for (index_t channel = 0; channel < channels; ++channel)
            for (index_t pixel = 0; pixel < pixels; ++pixel)
                numbers[channel * pixels + pixel] = sample[pixel * channels + channel];
    }
}

class ArraySource final : public SampleSource {
   public:
    ArraySource(std::unique_ptr<ArrayReader> inputs, std::unique_ptr<ArrayReader> targets, ArrayOptions options)
        : inputs_(std::move(inputs)),
          targets_(std::move(targets)),
          options_(std::move(options)),
          header_(header_of(*inputs_, targets_.get(), options_)),
          permutes_(options_.layout == ImageLayout::nhwc && inputs_->dimensions().size() == 4) {}

    SampleHeader header() const override { return header_; }

    void read(index_t first, index_t count, std::span<std::byte> features, std::span<float> targets) const override {
        const std::span floats{reinterpret_cast<float*>(features.data()), features.size() / sizeof(float)};
        if (!features.empty() && header_.element == Element::byte) {
            inputs_->read_bytes(first, count, features);
            if (permutes_) channels_first(header_.shape, features.data(), count);
        } else if (!features.empty()) {
            inputs_->read_floats(first, count, floats);
            if (permutes_) channels_first(header_.shape, floats.data(), count);
        }
        if (!targets.empty()) read_targets(first, count, targets);
    }

    std::string why_sequential() const override { return inputs_->why_sequential(); }
    SampleNames names() const override { return {inputs_->source(), (targets_ ? targets_ : inputs_)->source()}; }
    std::string layout_hint() const override { return hint_at_layout(*inputs_, options_.layout); }

    std::vector<std::string> warnings() const override {
        std::vector<std::string> found{inputs_->warning(), targets_ ? targets_->warning() : "",
                                       layout_warning(*inputs_, header_.shape, options_.layout)};
        std::erase(found, "");
        return found;
    }

    bool is_wide() const override { return inputs_->is_wide(); }
    void visit(index_t first, index_t count, const Take& take) const override {
        constexpr index_t piece_numbers = index_t{1} << 19;  // 4 MiB
        const index_t size = header_.shape.size(), piece = std::max(index_t{1}, piece_numbers / size);
        std::vector<double> numbers;
        for (const index_t end = first + count; first < end; first += piece) {
            const index_t here = std::min(piece, end - first);
            numbers.resize(here * size);
            inputs_->read_doubles(first, here, numbers);
            if (permutes_) channels_first(header_.shape, numbers.data(), here);
            for (index_t n = 0; n < here; ++n)
                take(first + n, std::span<const double>(numbers).subspan(n * size, size));
        }
    }

   private:
    void read_targets(index_t first, index_t count, std::span<float> targets) const {
        if (!targets_) return static_cast<void>(std::ranges::fill(targets, 0.0F));
        if (targets_->dimensions().front() != header_.samples) {  // (1,N)
            std::vector<float> all(static_cast<std::size_t>(targets_->size()));
            targets_->read_targets(0, 1, all);
            std::copy_n(all.begin() + first, count, targets.begin());
            return;
        }
        if (!options_.label_column) return targets_->read_targets(first, count, targets);
        const index_t columns = targets_->size() / header_.samples;
        std::vector<float> all(static_cast<std::size_t>(count * columns));
        targets_->read_targets(first, count, all);
        for (index_t n = 0; n < count; ++n) targets[n] = all[n * columns + *options_.label_column];
    }

    std::unique_ptr<ArrayReader> inputs_;
    std::unique_ptr<ArrayReader> targets_;
    ArrayOptions options_;
    SampleHeader header_;
    bool permutes_;
};

class FilePairFormat final : public DataFormat {
   public:
    struct Pair {
        FileList inputs, targets;
    };
    FilePairFormat(Config config, Pair train, Pair test, OpenArray opener, ArrayOptions options, const DataNeeds& needs)
        : config_(std::move(config)),
          train_(std::move(train)),
          test_(std::move(test)),
          open_(std::move(opener)),
          options_(std::move(options)),
          needs_(needs) {}

    std::unique_ptr<SampleSource> open(Part part) const override {
        const Pair& files = part == Part::train ? train_ : test_;
        if (files.inputs.empty()) return nullptr;
        const bool has_targets = needs_.targets_of(part);
        const auto inputs = files.inputs.paths();
        const auto targets = has_targets ? files.targets.paths() : std::vector<std::string>();
        if (has_targets && inputs.size() != targets.size())
            input_error(files.inputs.place(), " names ", inputs.size(), " files from '", inputs.front(), "' to '",
                        inputs.back(), "', but ", files.targets.place(), " names ", targets.size(), " from '",
                        targets.front(), "' to '", targets.back(), "': each file of inputs needs one of targets");
        std::vector<std::unique_ptr<SampleSource>> pairs;
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            auto of_inputs = open_(inputs[i]);
            auto of_targets = has_targets ? open_(targets[i]) : nullptr;
            pairs.push_back(make_array_source(std::move(of_inputs), std::move(of_targets), options_));
        }
        return concatenate(std::move(pairs), config_);
    }

   private:
    Config config_;
    Pair train_, test_;
    OpenArray open_;
    ArrayOptions options_;
    DataNeeds needs_;
};

}  // namespace

ArrayOptions read_array_options(const Config& config) {
    ArrayOptions options;
    options.layout = choose_enum<ImageLayout>(
        config, "layout", ImageLayout::nchw, {{"nchw", ImageLayout::nchw}, {"nhwc", ImageLayout::nhwc}},
        "dimensions of images in the files; nchw: (samples, channels, rows, columns), as in PyTorch; nhwc: (samples, "
        "rows, columns, channels), as in TensorFlow");
    const std::string column = config.word("label_column", "all",
                                           "column of the targets that is used, from 0, if they have several, as in "
                                           "QMNIST (0); all: every column is a target");
    if (column == "all") {
        options.needs_label_column = !config.has("label_column");
        return options;
    }
    index_t number = -1;
    const auto [end, error] = std::from_chars(column.data(), column.data() + column.size(), number);
    if (!config.is_describing() && (error != std::errc{} || end != column.data() + column.size() || number < 0))
        input_error(config.place_of("label_column"), " is '", column, "': allowed are all, and 0, 1, 2, ..");
    options.label_column = number;
    return options;
}

DimensionOrder read_dimension_order(const Config& config, ArrayOptions& options) {
    const bool transposed = config.flag("transposed", false,
                                        "true: the dimensions in the file are reversed, the samples are the last one, "
                                        "as MATLAB, Julia and R write arrays with the samples first");
    options.transposed_hint = transposed
                                  ? "if the samples are the first dimension in the file, set data.transposed to false"
                                  : "if the samples are the last dimension, as MATLAB, Julia and R write it, set "
                                    "data.transposed to true";
    return transposed ? DimensionOrder::reversed : DimensionOrder::as_stored;
}

std::unique_ptr<SampleSource> make_array_source(std::unique_ptr<ArrayReader> inputs,
                                                std::unique_ptr<ArrayReader> targets, ArrayOptions options) {
    return std::make_unique<ArraySource>(std::move(inputs), std::move(targets), std::move(options));
}

std::unique_ptr<DataFormat> make_file_pair_format(const Config& config, const FilePairs& defaults, OpenArray open,
                                                  ArrayOptions options, const DataNeeds& needs) {
    const std::string directory = read_directory(config, defaults.directory);
    const auto files = [&](const char* key, const std::optional<std::string>& fallback, const char* meaning) {
        return FileList(config, directory, key, fallback, meaning);
    };
    FilePairFormat::Pair train{
        files("train_inputs", defaults.train_inputs,
              "file with the training inputs; several: a list, or a pattern as part_*, sorted by name"),
        files("train_targets", defaults.train_targets, "file with the training targets, or one for each of inputs")};
    FilePairFormat::Pair test{
        files("test_inputs", defaults.test_inputs, "file with the test inputs, or several; '' for none"),
        files("test_targets", defaults.test_targets, "file with the test targets, or several; '' for none")};
    if (train.inputs.empty() || train.targets.empty())
        input_error(config.place_of("train_inputs"), " and train_targets must name files");
    if (needs.targets && test.inputs.empty() != test.targets.empty())
        input_error(config.place_of("test_inputs"), " and test_targets must both name a file, or both be ''",
                    needs.training ? "" : "; for outputs of samples without targets: evaluate --no-targets");
    return std::make_unique<FilePairFormat>(config, std::move(train), std::move(test), std::move(open),
                                            std::move(options), needs);
}

}  // namespace pruntrain
