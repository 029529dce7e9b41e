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
/// Some rows of a tensor.
struct StoredRows {
    Pattern pattern;
    index_t first = 0;  ///< packed number, in the whole tensor, of their first weight
};
/// The rows first_row .. first_row + rows - 1 of a tensor that `read_tensor` accepts, here or on another rank.
StoredRows read_tensor_rows(const H5File& file, const std::string& path, index_t first_row, index_t rows);
/// Packed values from number `first` on, which begins a row if the pattern is full.
void read_tensor_values(const H5File& file, const std::string& path, index_t first, std::span<real> values);
/// The packed values; as many as `read_tensor(...).pattern.kept()`.
void read_tensor_values(const H5File& file, const std::string& path, std::span<real> values);

}  // namespace pruntrain
