// Arrays written by numpy.save, one file each.
#include "pruntrain/data/array_source.hpp"

namespace pruntrain {

std::unique_ptr<DataFormat> make_npy(const Config& config, const DataNeeds& needs) {
    ArrayOptions options = read_array_options(config);
    options.needs_label_column = false;  // arrays often have several targets
    const DimensionOrder order = read_dimension_order(config, options);
    const auto open = [order](const std::string& path) { return open_npy(path, order); };
    return make_file_pair_format(config, {".", std::nullopt, std::nullopt, "", ""}, open, options, needs);
}

}  // namespace pruntrain
