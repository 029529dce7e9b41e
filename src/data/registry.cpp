// The data formats by name. To add one: write dataset_NAME.cpp with make_NAME, and a line here.
#include "pruntrain/data/data_format.hpp"

// clang-format off
#define DATA_FORMATS(member)                                           \
    member(csv, "tables of numbers as text")                           \
    member(hdf5, "two data sets of an HDF5 file")                      \
    member(idx, "the files of MNIST and Fashion-MNIST, plain or gzip") \
    member(npy, "arrays saved by numpy.save")                          \
    member(synthetic, "random inputs, labelled by a random network")   \
    /* End. */
// clang-format on

namespace pruntrain {

#define DECLARE(name, meaning) std::unique_ptr<DataFormat> make_##name(const Config&);
#define LIST(name, meaning) {#name, make_##name, meaning},

DATA_FORMATS(DECLARE)

const Registry<DataFormatFactory>& data_formats() {
    static const Registry<DataFormatFactory> registry("data format", {DATA_FORMATS(LIST)});
    return registry;
}

}  // namespace pruntrain
