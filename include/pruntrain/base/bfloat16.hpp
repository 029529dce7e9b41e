// bfloat16, the upper half of a float: 8 bits of exponent, 8 of precision (Wang & Kanwar 2019, "bfloat16").
#pragma once

#include <bit>
#include <cstdint>

namespace pruntrain {

struct Bfloat16 {
    std::uint16_t bits = 0;

    Bfloat16() = default;
    /// Rounds to nearest, ties to even; NaN stays NaN.
    explicit Bfloat16(float value) {
        const auto whole = std::bit_cast<std::uint32_t>(value);
        const std::uint32_t rounded = whole + 0x7FFF + (whole >> 16 & 1);
        bits = static_cast<std::uint16_t>((value != value ? whole | 0x400000 : rounded) >> 16);
    }

    explicit operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
};

}  // namespace pruntrain
