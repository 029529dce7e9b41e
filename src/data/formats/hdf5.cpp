// Inputs and targets as two data sets of an HDF5 file, or of several files. Training and test samples may be in the
// same file under different names.
#include "pruntrain/base/error.hpp"
#include "pruntrain/data/array_source.hpp"
#include "pruntrain/data/file_list.hpp"

namespace pruntrain {

namespace {

class Hdf5 final : public DataFormat {
   public:
    struct Place {
        FileList files;
        std::string inputs, targets;
    };
    Hdf5(Config config, Place train, Place test, DimensionOrder order, ArrayOptions options, const DataNeeds& needs)
        : config_(std::move(config)),
          train_(std::move(train)),
          test_(std::move(test)),
          order_(order),
          options_(std::move(options)),
          needs_(needs) {}

    std::unique_ptr<SampleSource> open(Part part) const override {
        const Place& place = part == Part::train ? train_ : test_;
        if (place.files.empty()) return nullptr;
        std::vector<std::unique_ptr<SampleSource>> sources;
        for (const std::string& file : place.files.paths()) {
            auto inputs = open_h5_dataset(file, place.inputs, order_);
            std::unique_ptr<ArrayReader> targets;
            if (needs_.targets_of(part)) targets = open_h5_dataset(file, place.targets, order_);
            sources.push_back(make_array_source(std::move(inputs), std::move(targets), options_));
        }
        return concatenate(std::move(sources), config_);
    }

   private:
    Config config_;
    Place train_, test_;
    DimensionOrder order_;
    ArrayOptions options_;
    DataNeeds needs_;
};

}  // namespace

std::unique_ptr<DataFormat> make_hdf5(const Config& config, const DataNeeds& needs) {
    const std::string directory = read_directory(config, ".");
    Hdf5::Place train{FileList(config, directory, "train_file", std::nullopt,
                               "file with the training samples; several: a list, or a pattern as part_*.h5, sorted by "
                               "name"),
                      config.word("inputs_path", "/inputs", "data set of the training inputs"),
                      config.word("targets_path", "/targets", "data set of the training targets")};
    Hdf5::Place test{
        FileList(config, directory, "test_file", "",
                 "file with the test samples, or several, may be the same file; '' for none"),
        config.word("test_inputs_path", train.inputs, "data set of the test inputs; default: inputs_path"),
        config.word("test_targets_path", train.targets, "data set of the test targets; default: targets_path")};
    if (train.files.empty()) input_error(config.place_of("train_file"), " must name a file");
    ArrayOptions options = read_array_options(config);
    options.needs_label_column = false;  // arrays often have several targets
    const DimensionOrder order = read_dimension_order(config, options);
    return std::make_unique<Hdf5>(config, std::move(train), std::move(test), order, options, needs);
}

}  // namespace pruntrain
