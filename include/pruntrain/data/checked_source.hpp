// Sources whose values are checked as they are read, and rounded to float32 without loss of a large offset.
#pragma once

#include <memory>

#include "pruntrain/base/error.hpp"
#include "pruntrain/data/normalization.hpp"

namespace pruntrain {

/// Wrong input that one rank finds by itself, while others may wait for it: main ends all ranks, with the exit status
/// of wrong input.
class LocalInputError : public std::runtime_error {
   public:
    using std::runtime_error::runtime_error;
};

/// A value in the files is NaN or infinite as float32.
class WrongValue : public InputError {
   public:
    using InputError::InputError;
};

/// The sources of another format. Reading throws WrongValue with file, sample and feature of a value that is NaN or
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
