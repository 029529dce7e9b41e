// Inputs and targets as two data sets of an HDF5 file. Training and test samples may be in the same file under
// different names.
#include "pruntrain/base/error.hpp"
#include "pruntrain/data/array_source.hpp"

namespace pruntrain {

namespace {

class Hdf5 final : public DataFormat {
   public:
    struct Place {
        std::string file, inputs, targets;
    };
    Hdf5(Place train, Place test) : train_(std::move(train)), test_(std::move(test)) {}

    std::unique_ptr<SampleSource> open(Part part) const override {
        const Place& place = part == Part::train ? train_ : test_;
        if (place.file.empty()) return nullptr;
        auto inputs = open_h5_dataset(place.file, place.inputs);
        return make_array_source(std::move(inputs), open_h5_dataset(place.file, place.targets));
    }

   private:
    Place train_, test_;
};

}  // namespace

std::unique_ptr<DataFormat> make_hdf5(const Config& config) {
    const std::string directory = read_directory(config, ".");
    const auto file = [&](const char* key, std::optional<std::string> fallback, const char* meaning) {
        return in_directory(directory, config.path(key, std::move(fallback), meaning));
    };
    const Hdf5::Place train{file("train_file", std::nullopt, "file with the training samples"),
                            config.word("inputs_path", "/inputs", "data set of the training inputs"),
                            config.word("targets_path", "/targets", "data set of the training targets")};
    const Hdf5::Place test{
        file("test_file", "", "file with the test samples, may be the same file; '' for none"),
        config.word("test_inputs_path", train.inputs, "data set of the test inputs; default: inputs_path"),
        config.word("test_targets_path", train.targets, "data set of the test targets; default: targets_path")};
    if (train.file.empty()) input_error(config.place_of("train_file"), " must name a file");
    return std::make_unique<Hdf5>(train, test);
}

}  // namespace pruntrain
