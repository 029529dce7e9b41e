// Sources whose values are checked as they are read, and rounded to float32 without loss of a large offset.
#pragma once

#include <memory>

#include "pruntrain/data/normalization.hpp"

namespace pruntrain {

/// The sources of another format. Reading throws InputError with file, sample and feature of a value that is NaN or
/// infinite as float32.
class CheckedFormat final : public DataFormat {
   public:
    explicit CheckedFormat(const DataFormat& files) : files_(files) {}
    void set_offsets(Offsets offsets) { offsets_ = std::move(offsets); }

    std::unique_ptr<SampleSource> open(Part part) const override;

   private:
    const DataFormat& files_;
    Offsets offsets_;
};

}  // namespace pruntrain
