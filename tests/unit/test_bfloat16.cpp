#include <doctest/doctest.h>

#include <cmath>
#include <initializer_list>
#include <limits>

#include "pruntrain/base/bfloat16.hpp"

using pruntrain::Bfloat16;

namespace {

float rounded(float value) { return static_cast<float>(Bfloat16(value)); }

}  // namespace

TEST_CASE("bfloat16: the nearest of 8 bits of precision, ties to even") {
    for (const float sign : {1.0F, -1.0F})
        for (const float scale : {1.0F, 0x1p-126F, 0x1p100F})
            for (int bits = 128; bits < 256; ++bits) {
                const float exact = sign * scale * static_cast<float>(bits) / 128;
                const float step = sign * scale / 128;
                CHECK(rounded(exact) == exact);
                CHECK(rounded(exact + 0.4375F * step) == exact);
                CHECK(rounded(exact + 0.5625F * step) == exact + step);
                CHECK(rounded(exact + 0.5F * step) == (bits % 2 == 0 ? exact : exact + step));
            }
    CHECK(rounded(0) == 0);
}

TEST_CASE("bfloat16: infinity and NaN stay") {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    CHECK(rounded(infinity) == infinity);
    CHECK(rounded(-infinity) == -infinity);
    CHECK(rounded(std::numeric_limits<float>::max()) == infinity);
    CHECK(std::isnan(rounded(std::numeric_limits<float>::quiet_NaN())));
    CHECK(std::isnan(rounded(std::bit_cast<float>(0x7F800001U))));
}
