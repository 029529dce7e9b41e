// Arrays of HDF5 of all kinds, drawn from a fuzz input.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>
#include <hdf5.h>

#include <array>
#include <string>
#include <vector>

namespace pruntrain::fuzz {

/// Adds a data set to a file that is open for writing: of any type, extents and layout, written or not, with a text or
/// not where checksums stand. What HDF5 refuses to make is not made.
inline void add_any_dataset(hid_t file, const std::string& path, FuzzedDataProvider& dice) {
    const hid_t words = H5Tcopy(H5T_C_S1);
    H5Tset_size(words, dice.ConsumeIntegralInRange<std::size_t>(1, 9));
    const hid_t long_words = H5Tcopy(H5T_C_S1), lists = H5Tvlen_create(H5T_NATIVE_FLOAT);
    H5Tset_size(long_words, H5T_VARIABLE);
    const std::array types{H5T_IEEE_F32LE, H5T_STD_U8LE,   H5T_STD_I64LE,   H5T_STD_I32LE, H5T_IEEE_F64LE,
                           H5T_IEEE_F32BE, H5T_STD_I16BE,  H5T_STD_REF_OBJ, words,         long_words,
                           lists,          H5T_NATIVE_B32, H5T_UNIX_D32LE};
    // Most readers go on with one of the first five only.
    const hid_t type = types[dice.ConsumeBool() ? dice.ConsumeIntegralInRange<std::size_t>(0, 4)
                                                : dice.ConsumeIntegralInRange<std::size_t>(0, types.size() - 1)];
    std::vector<hsize_t> extents(dice.ConsumeIntegralInRange<std::size_t>(0, 5));
    hsize_t points = 1;
    for (auto& extent : extents) {
        extent = dice.ConsumeBool() ? dice.ConsumeIntegralInRange<hsize_t>(0, 9)
                                    : hsize_t{1} << dice.ConsumeIntegralInRange(0, 63);
        points = extent > 0 && points > 1'000'000 / extent ? 1'000'001 : points * extent;
    }
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    const int layout = dice.ConsumeIntegralInRange(0, 3);
    if (layout == 1 || layout == 2) {
        std::vector<hsize_t> chunk(extents);
        for (auto& size : chunk) size = std::clamp<hsize_t>(size, 1, 16);
        H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data());
        if (layout == 2) H5Pset_deflate(creation, 9);
    }
    if (layout == 3) H5Pset_layout(creation, H5D_COMPACT);
    const hid_t space = H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr);
    const hid_t dataset = H5Dcreate2(file, path.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    const bool plain = type != H5T_STD_REF_OBJ && type != long_words && type != lists;  // those would be addresses
    if (dataset >= 0 && plain && points <= 10'000 && dice.ConsumeBool()) {
        std::vector<std::uint8_t> numbers(points * H5Tget_size(type), dice.ConsumeIntegral<std::uint8_t>());
        H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers.data());
    }
    // One chunk of many. HDF5 itself has room for the places of all chunks, and crashes if an int64 cannot count the
    // elements.
    const bool countable = points > 0 && points <= 1'000'000;
    if (dataset >= 0 && plain && countable && (layout == 1 || layout == 2) && dice.ConsumeBool()) {
        const std::vector<hsize_t> begin(extents.size(), 0), size(extents.size(), 1);
        const hid_t here = H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr);
        const std::vector<std::uint8_t> number(H5Tget_size(type), dice.ConsumeIntegral<std::uint8_t>());
        H5Sselect_hyperslab(space, H5S_SELECT_SET, begin.data(), nullptr, size.data(), nullptr);
        H5Dwrite(dataset, type, here, space, H5P_DEFAULT, number.data());
        H5Sclose(here);
    }
    if (dataset >= 0 && dice.ConsumeBool()) {
        const hid_t one = H5Screate(H5S_SCALAR);
        const hid_t sum = H5Acreate2(dataset, "xxh3_64", words, one, H5P_DEFAULT, H5P_DEFAULT);
        H5Awrite(sum, words, "123456789");
        H5Aclose(sum);
        H5Sclose(one);
    }
    if (dataset >= 0) H5Dclose(dataset);
    H5Sclose(space);
    H5Pclose(creation);
    for (const hid_t made : {words, long_words, lists}) H5Tclose(made);
}

}  // namespace pruntrain::fuzz
