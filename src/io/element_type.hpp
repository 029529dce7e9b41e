// The element types of IDX and NPY files, and their conversion. Included only by the readers of this folder.
#pragma once

#include <cstddef>
#include <span>

#include "pruntrain/base/types.hpp"
#include "pruntrain/io/array_reader.hpp"

namespace pruntrain {

enum class Number { boolean, uint8, int8, uint16, int16, uint32, int32, uint64, int64, float16, float32, float64 };

struct ElementType {
    Number number = Number::uint8;
    bool big_endian = false;

    index_t bytes() const;
    StoredAs stored_as() const;
    /// Converts elements as they are in the file. Result: std::byte (for one-byte types), float or double
    template <class Result>
    void convert(std::span<const std::byte> stored, Result* numbers) const;
};

}  // namespace pruntrain
