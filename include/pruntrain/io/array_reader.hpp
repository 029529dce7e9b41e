// One array in a file: its dimensions first, its elements on demand.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

class ArrayReader {
   public:
    virtual ~ArrayReader() = default;

    const std::string& source() const { return source_; }                   ///< file (and name in it) for messages
    const std::vector<index_t>& dimensions() const { return dimensions_; }  ///< row-major: the last varies fastest
    index_t size() const { return size_; }
    bool holds_bytes() const { return holds_bytes_; }  ///< integers 0 .. 255, one byte each

    /// Both read the entries [first, first + count) of the first dimension.
    /// @throws InputError naming the file if it is damaged or has changed since it was opened
    virtual void read_bytes(index_t first, index_t count, std::span<std::byte> numbers) = 0;  ///< only if `holds_bytes`
    virtual void read_floats(index_t first, index_t count, std::span<float> numbers) = 0;     ///< rounds to float
    /// True if the elements are stored in a type that float rounds: 32- or 64-bit integers, or double.
    virtual bool is_wide() const { return false; }
    virtual void read_doubles(index_t first, index_t count, std::span<double> numbers);  ///< only if `is_wide`
    /// True if entries can be read without reading those before them.
    virtual bool reads_anywhere() const { return true; }

   protected:
    /// @param size_limit  number of elements that the file has room for
    /// @throws InputError if the dimensions exceed it, so that no memory is allocated for a false header
    ArrayReader(std::string source, std::vector<index_t> dimensions, bool holds_bytes, index_t size_limit);

   private:
    std::string source_;
    std::vector<index_t> dimensions_;
    bool holds_bytes_;
    index_t size_ = 1;
};

/// IDX, the format of MNIST (LeCun et al. 1998): big-endian header, unsigned bytes; plain or gzip.
std::unique_ptr<ArrayReader> open_idx(const std::string& path);

/// NumPy's NPY formats 1.0, 2.0 and 3.0: little-endian u1, i4, i8, f4 or f8, C order.
std::unique_ptr<ArrayReader> open_npy(const std::string& path);

/// A data set of integers or floating-point values in an HDF5 file.
std::unique_ptr<ArrayReader> open_h5_dataset(const std::string& path, const std::string& name);

}  // namespace pruntrain
