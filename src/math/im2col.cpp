#include "pruntrain/math/im2col.hpp"

#include <algorithm>

#include "pruntrain/math/elementwise.hpp"

namespace pruntrain {

namespace {

/// Output columns that lie side by side in one row of `columns`, and where they come from: all from inside the image,
/// or all from the padding.
struct Run {
    index_t column;  ///< number in `columns` where they begin
    index_t pixels;  ///< how many
    index_t source;  ///< number in x where the first lies; the next lies stride * width further; -1: padding
};

/// Calls visit(Run) for all of `columns`, in the order of memory.
template <class Visit>
void for_each_run(const Shape& image, const Window& window, index_t width, index_t first, index_t count, Visit visit) {
    const auto [kernel, stride, padding] = window;
    const index_t output_columns = window.places(image.columns);
    const auto first_inside = [&](index_t offset) {  // smallest q >= 0 with q * stride >= offset
        return std::max<index_t>(offset + stride - 1, 0) / stride;
    };
    index_t column = 0;
    const auto emit = [&](index_t pixels, index_t source) {
        if (pixels > 0) visit(Run{column, pixels, source});
        column += pixels * width;
    };
    for (index_t c = 0; c < image.channels; ++c)
        for (index_t i = 0; i < kernel; ++i)
            for (index_t j = 0; j < kernel; ++j)
                for (index_t pixel = first; pixel < first + count;) {
                    const index_t r = pixel / output_columns, q = pixel % output_columns;
                    const index_t end = std::min(output_columns, q + first + count - pixel);
                    const index_t row = r * stride - padding + i;
                    pixel += end - q;
                    if (row < 0 || row >= image.rows) {
                        emit(end - q, -1);
                        continue;
                    }
                    const index_t begin_inside = std::clamp(first_inside(padding - j), q, end);
                    const index_t end_inside = std::clamp(first_inside(image.columns + padding - j), begin_inside, end);
                    const index_t source_column = begin_inside * stride - padding + j;
                    emit(begin_inside - q, -1);
                    emit(end_inside - begin_inside, ((c * image.rows + row) * image.columns + source_column) * width);
                    emit(end - end_inside, -1);
                }
}

}  // namespace

void im2col(const Shape& image, const Window& window, index_t width, index_t first, index_t count, const real* x,
            real* columns) {
    const index_t step = window.stride * width;
    for_each_run(image, window, width, first, count, [&](const Run& run) {
        real* const to = columns + run.column;
        if (run.source < 0) std::fill_n(to, run.pixels * width, real{0});
        else if (window.stride == 1) std::copy_n(x + run.source, run.pixels * width, to);
        else
            for (index_t k = 0; k < run.pixels; ++k) std::copy_n(x + run.source + k * step, width, to + k * width);
    });
}

void col2im(const Shape& image, const Window& window, index_t width, index_t first, index_t count, const real* columns,
            real* dx) {
    const index_t step = window.stride * width;
    for_each_run(image, window, width, first, count, [&](const Run& run) {
        const real* const from = columns + run.column;
        if (run.source < 0) return;
        if (window.stride == 1) add(from, run.pixels * width, dx + run.source);
        else
            for (index_t k = 0; k < run.pixels; ++k) add(from + k * width, width, dx + run.source + k * step);
    });
}

}  // namespace pruntrain
