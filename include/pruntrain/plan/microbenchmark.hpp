// How fast this machine computes, for plans: short measurements, some tenths of a second together.
#pragma once

#include <map>
#include <tuple>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// Measures what it is asked for the first time only, so that what is compared rests on the same measurement.
class Microbenchmark {
   public:
    /// Operations a second, with kept weights only, in the training step of a dense layer of 1024 units and inputs, or
    /// of a 3x3 convolution of 64 to 64 channels on 14x14 pixels, through the program's own layers and kernels.
    /// @param width    of the tiles
    /// @param density  1: executed dense; else sparse
    double flops_per_s(bool images, index_t width, double density);
    /// Bytes that y += x reads and writes in a second, in arrays of about so many bytes each.
    double moved_per_s(double array_bytes);

   private:
    std::map<std::tuple<bool, index_t, double>, double> flops_per_s_;
    std::map<index_t, double> moved_per_s_;  ///< by the size of an array, a power of two
};

}  // namespace pruntrain
