// Measures the computing speed of this machine for plans, in a few tenths of a second in total.
#pragma once

#include <map>
#include <tuple>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// Caches each measurement, so that compared values rest on the same one.
class Microbenchmark {
   public:
    /// Operations per second, counting non-zeros only, of a training step through the program's own layers and kernels.
    /// The layer is a dense layer of 1024 units and inputs, or a 3x3 convolution of 64 to 64 channels on 14x14 pixels.
    /// @param width    of the tiles
    /// @param density  1: executed dense; else sparse
    double flops_per_s(bool images, index_t width, double density);
    /// Bytes per second that y += x reads and writes, in arrays of about this size each.
    double moved_per_s(double array_bytes);

   private:
    std::map<std::tuple<bool, index_t, double>, double> flops_per_s_;
    std::map<index_t, double> moved_per_s_;  ///< by array size, a power of two
};

}  // namespace pruntrain
