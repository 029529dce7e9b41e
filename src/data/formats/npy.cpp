// Arrays written by numpy.save, one file each.
#include "pruntrain/data/array_source.hpp"

namespace pruntrain {

std::unique_ptr<DataFormat> make_npy(const Config& config, const DataNeeds& needs) {
    ArrayOptions options = read_array_options(config);
    options.needs_label_column = false;  // arrays often have several targets
    options.transposed_hint = "if the samples are the last dimension, save array.T";
    return make_file_pair_format(config, {".", std::nullopt, std::nullopt, "", ""}, open_npy, options, needs);
}

}  // namespace pruntrain
