// HDF5 files as the program uses them: groups, attributes, and arrays with checksums.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// An HDF5 file of one process, for writing once or for reading. The same content always gives a byte-identical file,
/// which any HDF5 from 1.10 on reads. It has no timestamps, and its strings are UTF-8 of fixed length. Arrays are
/// chunked with HDF5's Fletcher-32; integers and text are also shuffled and deflated. Each array has an attribute
/// `xxh3_64`: the checksum of its little-endian bytes before the filters.
///
/// A path names an object in the file: "model/dense1/weight", "/" for the root. All calls throw std::runtime_error with
/// the path and HDF5's reason; the caller adds the file's name.
class H5File {
   public:
    /// @param user_block_bytes  size of the user block at the start: a power of two from 512 on
    static H5File create(const std::filesystem::path& file, std::uint64_t user_block_bytes);
    static H5File open(const std::filesystem::path& file);
    H5File(H5File&&) noexcept;
    ~H5File();
    /// Flushes to the file and closes it.
    void close();

    /// A group keeps its members in order of creation.
    void create_group(const std::string& path);
    /// Adds a second name (hard link) of an existing object.
    void link(const std::string& path, const std::string& target);
    bool is_group(const std::string& path) const;
    /// The members of a group in order of creation.
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
    /// Reads a whole array and verifies its checksum. The file must be long enough to hold what the array claims.
    template <class T>
    std::vector<T> read(const std::string& path) const;
    /// Verifies the checksum of an array with one piece in memory at a time: about 256 KiB, or the rows of a chunk.
    /// @param values  number of elements that the array must have
    template <class T>
    void verify(const std::string& path, std::size_t values) const;
    /// Reads rows of an array from `first` on until `values` is full; other dimensions are whole. HDF5 verifies its
    /// Fletcher-32 of the chunks that it reads. If all rows are read, the array's checksum is verified too.
    template <class T>
    void read_rows(const std::string& path, index_t first, std::span<T> values) const;

    /// Text of any length, as an array of one fixed-length string.
    void write_text(const std::string& path, const std::string& value);
    std::string read_text(const std::string& path) const;

    /// @throws std::runtime_error if it has more elements than its bytes in the file can hold
    std::vector<index_t> shape(const std::string& path) const;
    std::uint64_t stored_bytes(const std::string& path) const;  ///< compressed size of an array
    std::uint64_t file_bytes() const;                           ///< when it was opened
    std::size_t verified() const;                               ///< number of checksums verified by reads

   private:
    struct State;
    explicit H5File(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace pruntrain
