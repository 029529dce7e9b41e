// Data sets in HDF5 files for tests.
#pragma once

#include <hdf5.h>

#include <filesystem>
#include <string>
#include <vector>

namespace pruntrain::test {

/// Adds a data set to a file; without numbers it is created but never written.
/// @param chunk  entries of the first dimension that are compressed together; 0: not compressed
inline void write_h5(const std::string& path, const std::string& name, hid_t type,
                     const std::vector<hsize_t>& dimensions, const void* numbers, hsize_t chunk = 0) {
    const bool exists = std::filesystem::exists(path);
    const hid_t file = exists ? H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT)
                              : H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    if (chunk > 0) {
        std::vector<hsize_t> chunks = dimensions;
        chunks[0] = chunk;
        H5Pset_chunk(creation, static_cast<int>(chunks.size()), chunks.data());
        H5Pset_deflate(creation, 9);
    }
    const hid_t space = H5Screate_simple(static_cast<int>(dimensions.size()), dimensions.data(), nullptr);
    const hid_t dataset = H5Dcreate2(file, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    if (numbers != nullptr) H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Pclose(creation);
    H5Fclose(file);
}

}  // namespace pruntrain::test
