// A tensor in an HDF5 file: an array if it is dense, else a sparse matrix in the Binsparse layout.
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
/// array of `tensor_shape`. Otherwise it becomes a group with the CSR arrays `pointers_to_1` (int64), `indices_1`
/// (int32) and `values`. The group also has the names indptr, indices, data, and attributes for Binsparse and AnnData:
/// see docs/checkpoint_format.md.
/// @param name  "dense1.weight", for readers
void write_tensor(H5File& file, const std::string& path, const std::string& name,
                  const std::vector<index_t>& tensor_shape, const Pattern& pattern, std::span<const real> values);

struct StoredTensor {
    std::vector<index_t> tensor_shape;
    Pattern pattern;
    std::uint64_t bytes = 0;  ///< compressed size in the file
};

/// Reads all but the values. @throws std::runtime_error if shape, pointers and indices do not form a matrix
StoredTensor read_tensor(const H5File& file, const std::string& path);
/// Verifies the checksum of the packed values. @param kept  their number, `read_tensor(...).pattern.kept()`
void verify_tensor_values(const H5File& file, const std::string& path, index_t kept);

/// Positions of the packed elements of a block of rows and columns in a stored tensor.
struct StoredPlace {
    std::vector<index_t> pointers;  ///< elements before each row of the block, as stored, and the total
    std::vector<index_t> firsts;    ///< index of the first element of the block in each row
};
struct StoredPart {
    Pattern pattern;
    StoredPlace place;
};
/// The block (rows, columns) from first_row and first_column on, of a tensor that `read_tensor` accepts, on this or
/// another rank.
StoredPart read_tensor_part(const H5File& file, const std::string& path, index_t first_row, index_t rows,
                            index_t first_column, index_t columns);
/// The packed values of a part.
void read_part(const H5File& file, const std::string& path, const Pattern& pattern, const StoredPlace& place,
               std::span<real> values);
/// Elements of a part, from its element `first` on, from an array with one element per packed value of the tensor.
void read_part(const H5File& file, const std::string& path, const Pattern& pattern, const StoredPlace& place,
               index_t first, std::span<real> numbers);

}  // namespace pruntrain
