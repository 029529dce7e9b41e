// Arrays written by numpy.save, one file each.
#include "pruntrain/data/array_source.hpp"

namespace pruntrain {

std::unique_ptr<DataFormat> make_npy(const Config& config) {
    return make_file_pair_format(config, {".", std::nullopt, std::nullopt, "", ""}, open_npy);
}

}  // namespace pruntrain
