// Samples in two arrays, inputs and targets: shared by the formats idx, npy and hdf5.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "pruntrain/data/data_format.hpp"
#include "pruntrain/io/array_reader.hpp"

namespace pruntrain {

/// @param inputs   (N,F) flat, (N,H,W) or (N,C,H,W) images; bytes stay bytes, all else becomes float32
/// @param targets  (N) or (N,D)
/// @throws InputError for other dimensions, or if the two sample counts differ
std::unique_ptr<SampleSource> make_array_source(std::unique_ptr<ArrayReader> inputs,
                                                std::unique_ptr<ArrayReader> targets);

/// Default file names of a format. None: the key is required; "": there is no such file.
struct FilePairs {
    std::string directory;
    std::optional<std::string> train_inputs, train_targets, test_inputs, test_targets;
};

/// A format with one file for each array, named by the keys of `FilePairs`.
std::unique_ptr<DataFormat> make_file_pair_format(const Config& config, const FilePairs& defaults,
                                                  std::unique_ptr<ArrayReader> (*open)(const std::string& path));

}  // namespace pruntrain
