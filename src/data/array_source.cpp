#include "pruntrain/data/array_source.hpp"

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

SampleHeader header_of(const ArrayReader& inputs, const ArrayReader& targets) {
    const auto &in = inputs.dimensions(), &out = targets.dimensions();
    SampleHeader header;
    if (in.size() == 2) header.shape = {in[1], 1, 1};
    else if (in.size() == 3) header.shape = {1, in[1], in[2]};
    else if (in.size() == 4) header.shape = {in[1], in[2], in[3]};
    else
        input_error(inputs.source(), " holds inputs of ", crossed(in),
                    ": allowed are (samples, features), (samples, rows, columns) and (samples, channels, rows, "
                    "columns)");
    if (out.size() != 1 && out.size() != 2)
        input_error(targets.source(), " holds targets of ", crossed(out),
                    ": allowed are (samples) and (samples, targets)");
    if (in[0] != out[0])
        input_error(inputs.source(), " holds ", in[0], " samples, but ", targets.source(), " holds ", out[0],
                    ": give inputs and targets of the same samples");
    header.samples = in[0];
    header.target_width = out.size() == 2 ? out[1] : 1;
    header.element = inputs.holds_bytes() ? Element::byte : Element::float32;
    return header;
}

class ArraySource final : public SampleSource {
   public:
    ArraySource(std::unique_ptr<ArrayReader> inputs, std::unique_ptr<ArrayReader> targets)
        : inputs_(std::move(inputs)), targets_(std::move(targets)), header_(header_of(*inputs_, *targets_)) {}

    SampleHeader header() const override { return header_; }

    void read(index_t first, index_t count, std::span<std::byte> features, std::span<float> targets) const override {
        const std::span floats{reinterpret_cast<float*>(features.data()), features.size() / sizeof(float)};
        if (!features.empty() && header_.element == Element::byte) inputs_->read_bytes(first, count, features);
        else if (!features.empty()) inputs_->read_floats(first, count, floats);
        if (!targets.empty()) targets_->read_floats(first, count, targets);
    }

    bool reads_anywhere() const override { return inputs_->reads_anywhere(); }

   private:
    std::unique_ptr<ArrayReader> inputs_;
    std::unique_ptr<ArrayReader> targets_;
    SampleHeader header_;
};

class FilePairFormat final : public DataFormat {
   public:
    using Open = std::unique_ptr<ArrayReader> (*)(const std::string&);
    struct Pair {
        std::string inputs, targets;
    };
    FilePairFormat(Pair train, Pair test, Open opener)
        : train_(std::move(train)), test_(std::move(test)), open_(opener) {}

    std::unique_ptr<SampleSource> open(Part part) const override {
        const Pair& files = part == Part::train ? train_ : test_;
        if (files.inputs.empty()) return nullptr;
        auto inputs = open_(files.inputs);
        return make_array_source(std::move(inputs), open_(files.targets));
    }

   private:
    Pair train_, test_;
    Open open_;
};

}  // namespace

std::unique_ptr<SampleSource> make_array_source(std::unique_ptr<ArrayReader> inputs,
                                                std::unique_ptr<ArrayReader> targets) {
    return std::make_unique<ArraySource>(std::move(inputs), std::move(targets));
}

std::unique_ptr<DataFormat> make_file_pair_format(const Config& config, const FilePairs& defaults,
                                                  std::unique_ptr<ArrayReader> (*open)(const std::string& path)) {
    const std::string directory = read_directory(config, defaults.directory);
    const auto file = [&](const char* key, const std::optional<std::string>& fallback, const char* meaning) {
        return in_directory(directory, config.path(key, fallback, meaning));
    };
    const FilePairFormat::Pair train{file("train_inputs", defaults.train_inputs, "file with the training inputs"),
                                     file("train_targets", defaults.train_targets, "file with the training targets")};
    const FilePairFormat::Pair test{
        file("test_inputs", defaults.test_inputs, "file with the test inputs; '' for none"),
        file("test_targets", defaults.test_targets, "file with the test targets; '' for none")};
    if (train.inputs.empty() || train.targets.empty())
        input_error(config.place_of("train_inputs"), " and train_targets must name files");
    if (test.inputs.empty() != test.targets.empty())
        input_error(config.place_of("test_inputs"), " and test_targets must both name a file, or both be ''");
    return std::make_unique<FilePairFormat>(train, test, open);
}

}  // namespace pruntrain
