// Text files, one sample per line, with its targets in the first or last columns.
#include <algorithm>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/data/data_format.hpp"
#include "pruntrain/io/csv_reader.hpp"

namespace pruntrain {

namespace {

struct Layout {
    char separator = ',';
    bool targets_first = false;
    index_t target_columns = 1;
    std::vector<index_t> shape;  // empty: flat, one feature per column
};

class CsvSource final : public SampleSource {
   public:
    CsvSource(const std::string& path, const Layout& layout) : file_(path, layout.separator), layout_(layout) {
        const index_t features = file_.columns() - layout_.target_columns;
        if (features < 1)
            input_error("'", path, "' has ", file_.columns(), " columns: none is left for inputs after ",
                        layout_.target_columns, " for targets (is the separator right?)");
        header_ = {layout_.shape.empty() ? Shape{features, 1, 1} : to_shape(layout_.shape), file_.rows(),
                   layout_.target_columns, Element::float32};
        if (header_.shape.size() != features)
            input_error("'", path, "' has ", features, " input columns, but data.shape ", header_.shape.describe(),
                        " needs ", header_.shape.size());
    }

    SampleHeader header() const override { return header_; }

    void read(index_t first, index_t count, std::span<std::byte> features, std::span<float> targets) const override {
        auto* const inputs = reinterpret_cast<float*>(features.data());
        const index_t input_count = header_.shape.size(), target_count = layout_.target_columns;
        file_.read([&](index_t row, std::span<const float> numbers) {
            const index_t sample = row - first;
            if (sample < 0 || sample >= count) return;
            const float* const own_inputs = numbers.data() + (layout_.targets_first ? target_count : 0);
            const float* const own_targets = numbers.data() + (layout_.targets_first ? 0 : input_count);
            if (!features.empty()) std::copy_n(own_inputs, input_count, inputs + sample * input_count);
            if (!targets.empty()) std::copy_n(own_targets, target_count, targets.data() + sample * target_count);
        });
    }

   private:
    CsvReader file_;
    Layout layout_;
    SampleHeader header_;
};

class Csv final : public DataFormat {
   public:
    Csv(std::string train, std::string test, Layout layout)
        : train_(std::move(train)), test_(std::move(test)), layout_(std::move(layout)) {}

    std::unique_ptr<SampleSource> open(Part part) const override {
        const std::string& file = part == Part::train ? train_ : test_;
        return file.empty() ? nullptr : std::make_unique<CsvSource>(file, layout_);
    }

   private:
    std::string train_, test_;
    Layout layout_;
};

}  // namespace

std::unique_ptr<DataFormat> make_csv(const Config& config) {
    const std::string directory = read_directory(config, ".");
    const std::string train =
        in_directory(directory, config.path("train_file", std::nullopt, "file with the training samples"));
    const std::string test =
        in_directory(directory, config.path("test_file", "", "file with the test samples; '' for none"));
    Layout layout;
    const std::string separator =
        config.choice("separator", "comma", {"comma", "semicolon", "tab"}, "separator between values");
    layout.separator = separator == "tab" ? '\t' : separator == "semicolon" ? ';' : ',';
    layout.targets_first =
        config.choice("target", "last", {"first", "last"}, "position of the target columns in a line") == "first";
    layout.target_columns = config.integer("target_columns", 1, at_least(1), "number of target columns");
    layout.shape = read_shape(config, {}, "[channels, rows, columns] of image inputs; [] for flat inputs");
    if (train.empty()) input_error(config.place_of("train_file"), " must name a file");
    return std::make_unique<Csv>(train, test, layout);
}

}  // namespace pruntrain
