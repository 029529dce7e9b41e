// The IDX files of MNIST (LeCun et al. 1998), Fashion-MNIST (Xiao et al. 2017) and similar data sets. For each name,
// the plain file or else NAME.gz is read.
#include <filesystem>

#include "pruntrain/base/error.hpp"
#include "pruntrain/data/array_source.hpp"

namespace pruntrain {

namespace {

std::unique_ptr<ArrayReader> open_plain_or_gz(const std::string& path) {
    for (const auto& candidate : {path, path + ".gz"})
        if (std::filesystem::exists(candidate)) return open_idx(candidate);
    input_error("found neither '", path, "' nor '", path, ".gz': check data.directory and the file names");
}

}  // namespace

std::unique_ptr<DataFormat> make_idx(const Config& config, const DataNeeds& needs) {
    const FilePairs defaults{"/usr/share/datasets/fashion-mnist",  // of Debian's package dataset-fashion-mnist
                             "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                             "t10k-labels-idx1-ubyte"};
    return make_file_pair_format(config, defaults, open_plain_or_gz, read_array_options(config), needs);
}

}  // namespace pruntrain
