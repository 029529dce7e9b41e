// HDF5 calls that throw. Included only by the HDF5 readers and writers of this folder.
#pragma once

#include <hdf5.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/types.hpp"

namespace pruntrain::h5 {

/// HDF5's description of the last failure, outermost and innermost cause: "can't open object: object 'w' doesn't
/// exist".
std::string reason();

/// Prepares HDF5; call it before any other call of HDF5. HDF5's own printing of errors is turned off: they are thrown
/// instead. Its file locks are turned off unless the environment says otherwise: some parallel file systems have no
/// locks, and there HDF5 opens no file with them. Its filters get LZF.
void prepare();

/// Returns the result of an HDF5 call. @throws std::runtime_error "PART: REASON" if it is negative
template <class Result>
Result check(Result result, const std::string& part) {
    if (result < 0) fault(part, ": ", reason());
    return result;
}

/// Owns an HDF5 identifier.
class Handle {
   public:
    using Close = herr_t (*)(hid_t);

    Handle(hid_t id, Close closer, const std::string& part) : id_(check(id, part)), close_(closer) {}
    Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
    Handle& operator=(Handle&&) = delete;
    ~Handle() {
        if (id_ >= 0) close_(id_);
    }

    operator hid_t() const { return id_; }
    /// Closes with an error check, for data that would be lost if closing fails.
    void close(const std::string& part) { check(close_(std::exchange(id_, H5I_INVALID_HID)), part); }

   private:
    hid_t id_;
    Close close_;
};

/// Upper bound of the number of elements of a data set. It is its size in the file, times the highest ratio of deflate
/// where it is chunked (1032; a little more for the ends of chunks). Data that was never written has no bytes in the
/// file. Bytes in other files are not counted: a data set stored there is rejected.
inline std::uint64_t room_for(hid_t dataset, std::uint64_t file_bytes, std::size_t number_bytes,
                              const std::string& part) {
    const Handle creation(H5Dget_create_plist(dataset), H5Pclose, part);
    const H5D_layout_t layout = H5Pget_layout(creation);
    if (layout == H5D_VIRTUAL || check(H5Pget_external_count(creation), part) > 0) return 0;
    constexpr std::uint64_t largest_ratio = 1100;
    const std::uint64_t stored = std::min<std::uint64_t>(H5Dget_storage_size(dataset), file_bytes);
    return stored * (layout == H5D_CHUNKED ? largest_ratio : 1) / number_bytes;
}

/// Reads a box of a data set. @return the result of H5Dread
inline herr_t read_box(hid_t dataset, hid_t type, const std::vector<hsize_t>& begin, const std::vector<hsize_t>& size,
                       void* numbers, const std::string& part) {
    const Handle there(H5Dget_space(dataset), H5Sclose, part);
    check(H5Sselect_hyperslab(there, H5S_SELECT_SET, begin.data(), nullptr, size.data(), nullptr), part);
    const Handle here(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), H5Sclose, part);
    return H5Dread(dataset, type, here, there, H5P_DEFAULT, numbers);
}

/// Reads some entries of the first dimension of a data set, other dimensions whole. @return the result of H5Dread
/// @param dimensions  of the whole data set
inline herr_t read_rows(hid_t dataset, hid_t type, const std::vector<index_t>& dimensions, index_t first, index_t count,
                        void* numbers, const std::string& part) {
    std::vector<hsize_t> begin(dimensions.size(), 0), size(dimensions.begin(), dimensions.end());
    begin[0] = static_cast<hsize_t>(first);
    size[0] = static_cast<hsize_t>(count);
    return read_box(dataset, type, begin, size, numbers, part);
}

}  // namespace pruntrain::h5
