#include "pruntrain/math/tile.hpp"

namespace pruntrain {

void retile(index_t features, const Tiling& from, const real* x, index_t width, real* y) {
    const Tiling to{from.samples, width};
    const index_t piece = std::min(from.width, width);  // both are powers of 2
    for (index_t first = 0; first < to.tiles() * width; first += piece) {
        const real* const source = x + first / from.width * features * from.width + first % from.width;
        real* const target = y + first / width * features * width + first % width;
        for (index_t feature = 0; feature < features; ++feature) {
            if (first < from.samples) std::copy_n(source + feature * from.width, piece, target + feature * width);
            else std::fill_n(target + feature * width, piece, real{0});
        }
    }
}

}  // namespace pruntrain
