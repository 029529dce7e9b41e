// The data formats and the places of samples by name. To add a format: write dataset_NAME.cpp with make_NAME, and a
// line here; to add a place, sample_store_NAME.cpp with make_NAME_store.
#include "pruntrain/data/data_format.hpp"
#include "pruntrain/data/sample_store.hpp"

// clang-format off
#define DATA_FORMATS(member)                                           \
    member(csv, "tables of numbers as text")                           \
    member(hdf5, "two data sets of an HDF5 file")                      \
    member(idx, "the files of MNIST and Fashion-MNIST, plain or gzip") \
    member(npy, "arrays saved by numpy.save")                          \
    member(synthetic, "random inputs, labelled by a random network")   \
    /* End. */

#define SAMPLE_STORES(member)                              \
    member(node, "all of them in the memory of each node") \
    member(shard, "split over the memories of the nodes")  \
    member(disk, "in the files, read batch by batch")      \
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
