#include <doctest/doctest.h>

#include "../support/layer_bench.hpp"

using namespace pruntrain;

TEST_CASE("tiles: as wide as the samples fill, those of images at most 16") {
    const auto widths = [](index_t samples) {
        const TileWidths chosen = tile_widths(samples);
        return std::pair(chosen.image, chosen.flat);
    };
    CHECK(widths(128) == std::pair<index_t, index_t>(16, 64));
    CHECK(widths(52) == std::pair<index_t, index_t>(16, 64));
    CHECK(widths(51) == std::pair<index_t, index_t>(8, 8));  // 64 would be 13 / 51 more
    CHECK(widths(32) == std::pair<index_t, index_t>(16, 32));
    CHECK(widths(9) == std::pair<index_t, index_t>(8, 8));
    CHECK(widths(0) == std::pair<index_t, index_t>(16, 64));
}

TEST_CASE("tiles: samples stay the same in tiles of another width, and padding becomes 0") {
    const index_t features = 5;
    for (const index_t width : {8, 16, 64})
        for (const index_t wanted : {8, 16, 64})
            for (const index_t samples : {0, 1, 16, 45, 130}) {
                CAPTURE(width);
                CAPTURE(wanted);
                CAPTURE(samples);
                const Tiling from{samples, width}, to{samples, wanted};
                auto x = random_numbers(from.size(features), 1);
                fill_padding(from, features, 0, x);
                std::vector<real> y(static_cast<std::size_t>(to.size(features)), -1), expected(y.size(), 0);
                for (index_t sample = 0; sample < samples; ++sample)
                    for (index_t feature = 0; feature < features; ++feature)
                        expected[place_of(to, features, feature, sample)] =
                            x[place_of(from, features, feature, sample)];
                retile(features, from, x.data(), wanted, y.data());
                CHECK(y == expected);
            }
}
