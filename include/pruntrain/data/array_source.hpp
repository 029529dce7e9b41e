// Samples in two arrays, inputs and targets: shared by the formats idx, npy and hdf5.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pruntrain/data/data_format.hpp"
#include "pruntrain/io/array_reader.hpp"

namespace pruntrain {

/// The order of the dimensions of images in a file: of (samples, channels, rows, columns), or with the channels last.
enum class ImageLayout { nchw, nhwc };

/// What the `data` section says of the arrays.
struct ArrayOptions {
    ImageLayout layout = ImageLayout::nchw;
    std::optional<index_t> label_column;  ///< the only column of the targets that is used; none: all
    bool needs_label_column = false;      ///< refuse several columns of integers
    std::string transposed_hint;          ///< what to do if the samples are the last dimension
};
ArrayOptions read_array_options(const Config& config);
/// The `data.transposed` key; sets the hint to it.
DimensionOrder read_dimension_order(const Config& config, ArrayOptions& options);

/// @param inputs   (N,F) flat, (N,H,W) or (N,C,H,W) images; bytes stay bytes, all else becomes float32
/// @param targets  (N), (1,N) or (N,D); null: none are stored, and all are read as 0
/// @throws InputError for other dimensions, or if the two sample counts differ
std::unique_ptr<SampleSource> make_array_source(std::unique_ptr<ArrayReader> inputs,
                                                std::unique_ptr<ArrayReader> targets, ArrayOptions options = {});

/// Default file names of a format. None: the key is required; "": there is no such file.
struct FilePairs {
    std::string directory;
    std::optional<std::string> train_inputs, train_targets, test_inputs, test_targets;
};

using OpenArray = std::function<std::unique_ptr<ArrayReader>(const std::string& path)>;

/// A format with one file for each array, or several for each, named by the keys of `FilePairs`.
std::unique_ptr<DataFormat> make_file_pair_format(const Config& config, const FilePairs& defaults, OpenArray open,
                                                  ArrayOptions options, const DataNeeds& needs);

}  // namespace pruntrain
