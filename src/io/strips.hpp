// Arrays whose first dimension varies fastest in the file: Fortran order, and the reversed dimensions of MATLAB.
#pragma once

#include <span>
#include <vector>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// In such a file a strip is one element of every sample, contiguous. Strips are in Fortran order of the sample.
class Strips {
   public:
    /// @param dimensions  of the array, the samples first
    explicit Strips(std::span<const index_t> dimensions)
        : sample_(dimensions.begin() + 1, dimensions.end()), samples_(dimensions.front()) {
        for (const index_t size : sample_) count_ *= size;
    }

    index_t samples() const { return samples_; }
    index_t count() const { return count_; }

    /// Position in a sample, in C order, of the element of a strip.
    index_t place(index_t strip) const {
        index_t place = 0, stride = count_;
        for (const index_t size : sample_) {
            stride /= size;
            place += strip % size * stride;
            strip /= size;
        }
        return place;
    }

    /// Copies strips to their places in samples.
    /// @param from     (strip, sample): `strips` of them from `first_strip` on
    /// @param numbers  (sample, element): the samples from the first one of `from` on
    template <class T>
    void scatter(const T* from, index_t first_strip, index_t strips, index_t samples, T* numbers) const {
        std::vector<index_t> places;
        for (index_t strip = 0; strip < strips; ++strip) places.push_back(place(first_strip + strip));
        for (index_t n = 0; n < samples; ++n, numbers += count_)
            for (index_t strip = 0; strip < strips; ++strip) numbers[places[strip]] = from[strip * samples + n];
    }

   private:
    std::vector<index_t> sample_;
    index_t samples_;
    index_t count_ = 1;
};

}  // namespace pruntrain
