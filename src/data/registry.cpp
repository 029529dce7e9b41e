// The data formats and sample stores by name. To add a format, write dataset_NAME.cpp with make_NAME and add a line
// here. To add a store, write sample_store_NAME.cpp with make_NAME_store and add a line.
#include "pruntrain/data/data_format.hpp"
#include "pruntrain/data/sample_store.hpp"

// clang-format off
#define DATA_FORMATS(member)                                           \
    member(csv, "text files, one sample per line")                           \
    member(hdf5, "inputs and targets as data sets of an HDF5 file")                      \
    member(idx, "IDX files as of MNIST and Fashion-MNIST, plain or gzip") \
    member(npy, "arrays written by numpy.save")                          \
    member(synthetic, "random inputs, labeled by a random network")   \
    /* End. */

#define SAMPLE_STORES(member)                              \
    member(node, "all of them in the memory of each node") \
    member(shard, "partitioned over the memories of the nodes")  \
    member(disk, "in the files, read per batch")      \
    /* End. */
// clang-format on

namespace pruntrain {

#define DECLARE(name, meaning) std::unique_ptr<DataFormat> make_##name(const Config&, const DataNeeds&);
#define LIST(name, meaning) {#name, make_##name, meaning},

DATA_FORMATS(DECLARE)

const Registry<DataFormatFactory>& data_formats() {
    static const Registry<DataFormatFactory> registry("data format", {DATA_FORMATS(LIST)});
    return registry;
}

#undef DECLARE
#undef LIST
#define DECLARE(name, meaning) \
    std::unique_ptr<SampleStore> make_##name##_store(SampleFiles, const Communicator&, const Communicator&);
#define LIST(name, meaning) {#name, make_##name##_store, meaning},

SAMPLE_STORES(DECLARE)

const Registry<SampleStoreFactory>& sample_stores() {
    static const Registry<SampleStoreFactory> registry("residency", {SAMPLE_STORES(LIST)});
    return registry;
}

}  // namespace pruntrain
