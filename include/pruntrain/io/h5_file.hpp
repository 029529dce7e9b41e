// HDF5 files, in the words of this program: groups, attributes, and arrays with checksums.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// An HDF5 file of one process, written once or read. What it writes is the same to the last byte for the same content,
/// and any HDF5 from 1.10 on reads it: no times, fixed-length UTF-8 strings, arrays in chunks that carry HDF5's
/// Fletcher-32 and, of whole numbers and text, are shuffled and deflated. Each array has an attribute `xxh3_64`: the
/// checksum of its little-endian bytes before the filters.
///
/// A path names an object in the file: "model/dense1/weight", "/" for the root. All calls throw std::runtime_error with
/// the path and HDF5's reason; the caller adds the file's name.
class H5File {
   public:
    /// @param user_block_bytes  left free at the start: a power of two from 512 on
    static H5File create(const std::filesystem::path& file, std::uint64_t user_block_bytes);
    static H5File open(const std::filesystem::path& file);
    H5File(H5File&&) noexcept;
    ~H5File();
    /// Writes what is still in memory.
    void close();

    /// In a group its members keep the order in which they were made.
    void create_group(const std::string& path);
    /// A second name of an object that exists.
    void link(const std::string& path, const std::string& target);
    bool is_group(const std::string& path) const;
    /// The members of a group in the order in which they were made.
    std::vector<std::string> names(const std::string& path) const;

    /// T: int, index_t, std::uint64_t, double, std::string, std::vector<index_t>, std::vector<double>
    template <class T>
    void set_attribute(const std::string& path, const std::string& name, const T& value);
    template <class T>
    T attribute(const std::string& path, const std::string& name) const;
    bool has_attribute(const std::string& path, const std::string& name) const;

    /// T: float, double, std::int32_t, index_t
    template <class T>
    void write(const std::string& path, std::span<const T> values, std::span<const index_t> shape);
    /// Reads all of an array and compares its checksum. The file must be long enough to hold what the array claims.
    template <class T>
    std::vector<T> read(const std::string& path) const;
    /// Compares it likewise with a piece of the array in memory at a time: about 256 KiB, or rows of a chunk.
    /// @param values  how many the array must have
    template <class T>
    void verify(const std::string& path, std::size_t values) const;
    /// As many rows of an array, from `first` on, as fill the values; its other dimensions are whole. What HDF5 reads
    /// of the file is compared with its Fletcher-32, the array's checksum if all rows are read.
    template <class T>
    void read_rows(const std::string& path, index_t first, std::span<T> values) const;

    /// Text of any length, as an array of one fixed-length string.
    void write_text(const std::string& path, const std::string& value);
    std::string read_text(const std::string& path) const;

    /// @throws std::runtime_error if it has more values than its bytes in the file can hold
    std::vector<index_t> shape(const std::string& path) const;
    std::uint64_t stored_bytes(const std::string& path) const;  ///< of an array, compressed
    std::uint64_t file_bytes() const;                           ///< when it was opened
    std::size_t verified() const;                               ///< checksums that reads have compared

   private:
    struct State;
    explicit H5File(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace pruntrain
