#include "element_type.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

namespace {

static_assert(std::endian::native == std::endian::little, "little-endian elements are copied without conversion");

/// IEEE 754 binary16.
struct Half {
    std::uint16_t bits;

    explicit operator double() const {
        const std::uint64_t sign = bits >> 15, exponent = bits >> 10 & 0x1F, fraction = bits & 0x3FF;
        if (exponent == 0) return (sign != 0 ? -0x1p-24 : 0x1p-24) * static_cast<double>(fraction);  // subnormal
        constexpr std::uint64_t bias = 1023 - 15, all_ones = 0x7FF;  // the exponent of infinity and NaN
        const std::uint64_t wide = exponent == 0x1F ? all_ones : exponent + bias;
        return std::bit_cast<double>(sign << 63 | wide << 52 | fraction << 42);
    }
    explicit operator float() const { return static_cast<float>(double{*this}); }
};

template <class Stored, class Result>
void convert_all(std::span<const std::byte> bytes, bool swapped, Result* numbers) {
    for (std::size_t begin = 0; begin < bytes.size(); begin += sizeof(Stored)) {
        std::array<std::byte, sizeof(Stored)> one{};
        std::memcpy(one.data(), bytes.data() + begin, sizeof(Stored));
        if (swapped) std::reverse(one.begin(), one.end());
        *numbers++ = static_cast<Result>(std::bit_cast<Stored>(one));
    }
}

}  // namespace

index_t ElementType::bytes() const {
    switch (number) {
        case Number::boolean:
        case Number::uint8:
        case Number::int8:
            return 1;
        case Number::uint16:
        case Number::int16:
        case Number::float16:
            return 2;
        case Number::uint32:
        case Number::int32:
        case Number::float32:
            return 4;
        case Number::uint64:
        case Number::int64:
        case Number::float64:
            return 8;
    }
    fault("unknown element type");
}

StoredAs ElementType::stored_as() const {
    switch (number) {
        case Number::boolean:
        case Number::uint8:
            return StoredAs::bytes;
        case Number::int8:
        case Number::uint16:
        case Number::int16:
            return StoredAs::integers;
        case Number::uint32:
        case Number::int32:
        case Number::uint64:
        case Number::int64:
            return StoredAs::wide_integers;
        case Number::float16:
        case Number::float32:
            return StoredAs::floats;
        case Number::float64:
            return StoredAs::wide_floats;
    }
    fault("unknown element type");
}

template <class Result>
void ElementType::convert(std::span<const std::byte> stored, Result* numbers) const {
    if constexpr (std::is_same_v<Result, std::byte>) {
        if (bytes() != 1) fault("elements of ", bytes(), " bytes are read as bytes");
        std::ranges::copy(stored, numbers);
    } else {
        switch (number) {
            case Number::boolean:
            case Number::uint8:
                return convert_all<std::uint8_t>(stored, big_endian, numbers);
            case Number::int8:
                return convert_all<std::int8_t>(stored, big_endian, numbers);
            case Number::uint16:
                return convert_all<std::uint16_t>(stored, big_endian, numbers);
            case Number::int16:
                return convert_all<std::int16_t>(stored, big_endian, numbers);
            case Number::uint32:
                return convert_all<std::uint32_t>(stored, big_endian, numbers);
            case Number::int32:
                return convert_all<std::int32_t>(stored, big_endian, numbers);
            case Number::uint64:
                return convert_all<std::uint64_t>(stored, big_endian, numbers);
            case Number::int64:
                return convert_all<std::int64_t>(stored, big_endian, numbers);
            case Number::float16:
                return convert_all<Half>(stored, big_endian, numbers);
            case Number::float32:
                return convert_all<float>(stored, big_endian, numbers);
            case Number::float64:
                return convert_all<double>(stored, big_endian, numbers);
        }
    }
}

template void ElementType::convert(std::span<const std::byte>, std::byte*) const;
template void ElementType::convert(std::span<const std::byte>, float*) const;
template void ElementType::convert(std::span<const std::byte>, double*) const;

}  // namespace pruntrain
