// Data sets for training in HDF5 files. The input does not become the bytes of a file: HDF5 1.10 has no checksum over
// what the default format says of itself and crashes on hostile bytes of it, which is not ours to mend. It draws what
// HDF5 is asked to write: our own checks are of types, dimensions, and of the room that the file has for them.
#include "fuzz.hpp"
#include "h5_objects.hpp"
#include "pruntrain/data/array_source.hpp"

using namespace pruntrain;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    FuzzedDataProvider dice(data, size);
    const std::string path = fuzz::file_for_input().string();
    const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    fuzz::add_any_dataset(file, "inputs", dice);
    fuzz::add_any_dataset(file, "targets", dice);
    H5Fclose(file);
    for (const char* name : {"inputs", "targets"})
        for (const auto order : {DimensionOrder::as_stored, DimensionOrder::reversed})
            fuzz::accepted([&] { fuzz::read_all(*open_h5_dataset(path, name, order)); });
    fuzz::accepted([&] { make_array_source(open_h5_dataset(path, "inputs"), open_h5_dataset(path, "targets")); });
    return 0;
}
