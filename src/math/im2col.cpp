#include "pruntrain/math/im2col.hpp"

#include <algorithm>
#include <vector>

namespace pruntrain {

namespace {

/// Output pixels that are contiguous in one row of `columns`, and their source: all from inside the image, or all from
/// the padding. Positions are those of the first channel.
struct Run {
    index_t column;  ///< offset in `columns` of the first pixel
    index_t pixels;  ///< how many
    index_t source;  ///< offset in x of the first pixel; the next is stride * width further; -1: padding
};

/// All rows of `columns` of the first channel, in memory order; other channels repeat them.
std::vector<Run> runs_of_channel(const Shape& image, const Window& window, index_t width, index_t first,
                                 index_t count) {
    const index_t kernel = window.kernel, stride = window.stride, padding = window.padding;
    const index_t output_columns = window.places(image.columns);
    const auto first_inside = [&](index_t offset) {  // smallest q >= 0 with q * stride >= offset
        return std::max<index_t>(offset + stride - 1, 0) / stride;
    };
    std::vector<Run> runs;
    index_t column = 0;
    const auto append = [&](index_t pixels, index_t source) {
        if (pixels > 0) runs.push_back({column, pixels, source});
        column += pixels * width;
    };
    for (index_t i = 0; i < kernel; ++i)
        for (index_t j = 0; j < kernel; ++j)
            for (index_t pixel = first; pixel < first + count;) {
                const index_t r = pixel / output_columns, q = pixel % output_columns;
                const index_t end = std::min(output_columns, q + first + count - pixel);
                const index_t row = r * stride - padding + i;
                pixel += end - q;
                if (row < 0 || row >= image.rows) {
                    append(end - q, -1);
                    continue;
                }
                const index_t begin_inside = std::clamp(first_inside(padding - j), q, end);
                const index_t end_inside = std::clamp(first_inside(image.columns + padding - j), begin_inside, end);
                append(begin_inside - q, -1);
                append(end_inside - begin_inside, (row * image.columns + begin_inside * stride - padding + j) * width);
                append(end - end_inside, -1);
            }
    return runs;
}

/// dx (pixels, T), each pixel `step` elements after the previous one, += columns (pixels, T).
PRUNTRAIN_VECTORIZED
void add_pixels(index_t pixels, index_t width, index_t step, const real* columns, real* __restrict dx) {
    for (index_t pixel = 0; pixel < pixels; ++pixel)
        for (index_t lane = 0; lane < width; ++lane) dx[pixel * step + lane] += columns[pixel * width + lane];
}

}  // namespace

void im2col(const Shape& image, const Window& window, index_t width, index_t first, index_t count, const real* x,
            real* columns) {
    const index_t step = window.stride * width;
    const auto runs = runs_of_channel(image, window, width, first, count);
    for (index_t c = 0; c < image.channels; ++c) {
        for (const auto& [column, pixels, source] : runs) {
            real* const to = columns + column;
            if (source < 0) std::fill_n(to, pixels * width, real{0});
            else if (window.stride == 1) std::copy_n(x + source, pixels * width, to);
            else
                for (index_t k = 0; k < pixels; ++k) std::copy_n(x + source + k * step, width, to + k * width);
        }
        x += image.pixels() * width;
        columns += window.kernel * window.kernel * count * width;
    }
}

void col2im(const Shape& image, const Window& window, index_t width, index_t first, index_t count, const real* columns,
            real* dx) {
    const auto runs = runs_of_channel(image, window, width, first, count);
    for (index_t c = 0; c < image.channels; ++c) {
        for (const auto& [column, pixels, source] : runs) {
            if (source < 0) continue;
            if (window.stride == 1) add_pixels(1, pixels * width, 0, columns + column, dx + source);
            else add_pixels(pixels, width, window.stride * width, columns + column, dx + source);
        }
        dx += image.pixels() * width;
        columns += window.kernel * window.kernel * count * width;
    }
}

}  // namespace pruntrain
