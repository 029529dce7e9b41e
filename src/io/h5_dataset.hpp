// A data set that others wrote: what it holds, and why it cannot be read. Included only by readers of this folder.
#pragma once

#include <string>
#include <vector>

#include "h5_call.hpp"
#include "pruntrain/io/array_reader.hpp"

namespace pruntrain::h5 {

/// Opens a data set. @throws InputError that says what is at this place instead
Handle open_dataset(hid_t file, const std::string& name, const std::string& source);

/// Its extents. @throws InputError if it has none
std::vector<index_t> extents_of(hid_t dataset, const std::string& source);

/// How the elements are stored. @throws InputError if they are no values to train on
StoredAs stored_as(hid_t dataset, const std::string& source);

/// @throws InputError if the values are in other files, or were written with a filter that is not installed
void check_storage(hid_t dataset, const std::string& path, const std::string& source);

struct Room {
    index_t elements = 0;  ///< upper bound of the size of the array
    std::string warning;   ///< "" unless a part was never written
};
/// How many elements the file can hold. Where chunks were never written, HDF5 reads fill values, and the memory of the
/// machine is the bound.
/// @throws InputError if nothing was ever written, or the array exceeds the memory
Room room_of(hid_t dataset, const std::vector<index_t>& extents, std::uint64_t file_bytes, const std::string& source);

}  // namespace pruntrain::h5
