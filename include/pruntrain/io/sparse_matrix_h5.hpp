// A tensor in an HDF5 file: an array while all its weights exist, else a sparse matrix in the Binsparse layout.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/types.hpp"
#include "pruntrain/io/h5_file.hpp"
#include "pruntrain/math/pattern.hpp"

namespace pruntrain {

/// The matrix of a tensor has rows = its first dimension, columns = all others. With a full pattern `path` becomes an
/// array of `tensor_shape`; else a group with the CSR arrays `pointers_to_1` (int64), `indices_1` (int32), `values`,
/// the same under the names indptr, indices, data, and attributes for Binsparse and AnnData: see
/// docs/checkpoint_format.md.
/// @param name  "dense1.weight", for readers
void write_tensor(H5File& file, const std::string& path, const std::string& name,
                  const std::vector<index_t>& tensor_shape, const Pattern& pattern, std::span<const real> values);

struct StoredTensor {
    std::vector<index_t> tensor_shape;
    Pattern pattern;
    std::uint64_t bytes = 0;  ///< in the file, compressed
};

/// All but the values. @throws std::runtime_error if shape, pointers and indices make no matrix
StoredTensor read_tensor(const H5File& file, const std::string& path);
/// Compares the checksum of the packed values. @param kept  how many they must be: `read_tensor(...).pattern.kept()`
void verify_tensor_values(const H5File& file, const std::string& path, index_t kept);

/// Where the packed numbers of a block of rows and columns stand among those of a stored tensor.
struct StoredPlace {
    std::vector<index_t> pointers;  ///< numbers before each row of the block, as it is stored, and behind the last one
    std::vector<index_t> firsts;    ///< of each row, the first number of the block
};
struct StoredPart {
    Pattern pattern;
    StoredPlace place;
};
/// The block (rows, columns) from first_row and first_column on, of a tensor that `read_tensor` accepts, here or on
/// another rank.
StoredPart read_tensor_part(const H5File& file, const std::string& path, index_t first_row, index_t rows,
                            index_t first_column, index_t columns);
/// The packed values of a part.
void read_part(const H5File& file, const std::string& path, const Pattern& pattern, const StoredPlace& place,
               std::span<real> values);
/// Numbers of a part, from its number `first` on, out of an array with a number for each packed value of the tensor.
void read_part(const H5File& file, const std::string& path, const Pattern& pattern, const StoredPlace& place,
               index_t first, std::span<real> numbers);

}  // namespace pruntrain
