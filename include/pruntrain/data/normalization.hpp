// Normalization of the inputs, and the offsets that keep its digits in float32.
#pragma once

#include <vector>

#include "pruntrain/data/data_format.hpp"

namespace pruntrain {

/// x -> (x - mean) / std, one pair for all features or one per channel; the channels of a flat sample are its features.
struct Normalization {
    std::vector<double> mean{0};
    std::vector<double> deviation{1};
};

/// Per channel, what is subtracted from the inputs in double before they are rounded to float32; empty: nothing.
using Offsets = std::vector<double>;

/// A channel has an offset if its |mean| exceeds 2^10 std: then float32 would spend more than 10 of its 24 bits on the
/// mean. A pure function of the normalization, so that a checkpoint, which has it, is evaluated with the same inputs.
Offsets offsets_of(const Normalization& normalization, index_t channels);

/// Mean and std of each channel in double, in the order of the files.
/// @param left_out  true for samples that are not counted
Normalization measure_in_double(const SampleSource& source, const std::vector<bool>& left_out);

}  // namespace pruntrain
