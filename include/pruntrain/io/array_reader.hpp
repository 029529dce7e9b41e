// One array in a file: its dimensions first, its elements on demand.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// How elements are stored.
enum class StoredAs {
    bytes,          ///< integers 0 .. 255 or truth values, one byte each
    integers,       ///< other integers that float holds exactly
    wide_integers,  ///< of 32 or 64 bits: float may round them
    floats,         ///< of 16 or 32 bits
    wide_floats     ///< of 64 bits or more: float rounds them
};

/// The order of the dimensions of an array in its file.
enum class DimensionOrder {
    as_stored,
    reversed  ///< the last dimension in the file is the first one of the array
};

class ArrayReader {
   public:
    virtual ~ArrayReader() = default;

    const std::string& source() const { return source_; }                   ///< file (and name in it) for messages
    const std::vector<index_t>& dimensions() const { return dimensions_; }  ///< row-major: the last varies fastest
    index_t size() const { return size_; }
    bool holds_bytes() const { return stored_as_ == StoredAs::bytes; }  ///< integers 0 .. 255, one byte each
    bool holds_integers() const { return stored_as_ <= StoredAs::wide_integers; }
    /// True if the elements are stored in a type that float rounds: 32- or 64-bit integers, or double.
    bool is_wide() const { return stored_as_ == StoredAs::wide_integers || stored_as_ == StoredAs::wide_floats; }
    /// What the user should know of this array; "" if nothing.
    virtual std::string warning() const { return ""; }

    /// These read the entries [first, first + count) of the first dimension.
    /// @throws InputError naming the file if it is damaged or has changed since it was opened
    virtual void read_bytes(index_t first, index_t count, std::span<std::byte> numbers) = 0;  ///< only if `holds_bytes`
    virtual void read_floats(index_t first, index_t count, std::span<float> numbers) = 0;     ///< rounds to float
    virtual void read_doubles(index_t first, index_t count, std::span<double> numbers) = 0;   ///< rounds to double
    /// As read_floats, for targets. @throws InputError with the place of an integer that float cannot hold exactly
    void read_targets(index_t first, index_t count, std::span<float> numbers);

    /// Why entries can only be read after those before them, and what to do about it; "" if they can be read alone.
    virtual std::string why_sequential() const { return ""; }
    bool reads_anywhere() const { return why_sequential().empty(); }

   protected:
    /// @param size_limit  number of elements that the file has room for
    /// @throws InputError if the dimensions exceed it, so that no memory is allocated for a false header
    ArrayReader(std::string source, std::vector<index_t> dimensions, StoredAs stored_as, index_t size_limit);

   private:
    std::string source_;
    std::vector<index_t> dimensions_;
    StoredAs stored_as_;
    index_t size_ = 1;
};

/// IDX, the format of MNIST (LeCun et al. 1998): big-endian header and elements of all its types; plain or gzip.
std::unique_ptr<ArrayReader> open_idx(const std::string& path);

/// NumPy's NPY formats 1.0, 2.0 and 3.0: truth values, integers and floating-point values of up to 64 bits in either
/// byte order, in C or Fortran order.
std::unique_ptr<ArrayReader> open_npy(const std::string& path, DimensionOrder order = DimensionOrder::as_stored);

/// A data set of integers, enumerated or floating-point values in an HDF5 file, or in the file that a link leads to.
std::unique_ptr<ArrayReader> open_h5_dataset(const std::string& path, const std::string& name,
                                             DimensionOrder order = DimensionOrder::as_stored);

}  // namespace pruntrain
