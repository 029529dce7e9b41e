#include "pruntrain/math/sparse_convolution.hpp"

#include <algorithm>

namespace pruntrain {

namespace {

/// Number of pixels of a block; its samples are those of a tile. Neighboring pixels share the inputs of their windows.
index_t block_pixels(index_t width) { return std::max<index_t>(1, register_lanes() / width); }

/// Calls work(first, count) for `pixels` pixels in groups of at most `most`, of about equal size.
template <class Work>
void for_each_group(index_t pixels, index_t most, Work work) {
    const index_t groups = (pixels + most - 1) / most;
    for (index_t group = 0; group < groups; ++group) {
        const index_t first = pixels * group / groups;
        work(first, pixels * (group + 1) / groups - first);
    }
}

/// Memory for a padded image; its zeros are written once.
void prepare(const PaddedImage& layout, AlignedVector<real>& padded) {
    if (static_cast<index_t>(padded.size()) != layout.size()) padded.assign(layout.size(), real{0});
}

/// Output pixels before the first that a padded image of dy needs: input pixel y meets the output pixels (y + padding -
/// i) / stride, for the window rows i for which the quotient is an integer.
index_t pixels_before(const Window& window) { return (window.kernel - 1 - window.padding) / window.stride; }

/// Number of channels in a panel, of `channels` in total. @param entries  average entries of a row per channel
index_t panel_channels(index_t channels, double entries, const Window& window, index_t width) {
    const index_t pixels = window.kernel * (block_pixels(width) + window.kernel - 1);
    return panel_inputs(channels, entries, pixels * width * static_cast<index_t>(sizeof(real)));
}

}  // namespace

PaddedImage SparseConvolution::layout_of_x(index_t width) const {
    const auto [kernel, stride, padding] = window_;
    return {input_, padding, padding, input_.rows + 2 * padding, input_.columns + 2 * padding, stride, width};
}

PaddedImage SparseConvolution::layout_of_dy(index_t width) const {
    const index_t stride = window_.stride, padding = window_.padding, before = pixels_before(window_);
    const index_t rows = std::max(output_.rows, (input_.rows - 1 + padding) / stride + 1);
    const index_t columns = std::max(output_.columns, (input_.columns - 1 + padding) / stride + 1);
    return {output_, before, before, before + rows, before + columns, 1, width};
}

SparseEntries SparseConvolution::plan_outputs(const Pattern& pattern, index_t width) const {
    const index_t kernel = window_.kernel;
    const PaddedImage layout = layout_of_x(width);
    std::vector<std::uint32_t> offsets;
    for (index_t c = 0; c < input_.channels; ++c)
        for (index_t i = 0; i < kernel; ++i)
            for (index_t j = 0; j < kernel; ++j)
                offsets.push_back(static_cast<std::uint32_t>(c * layout.channel_stride() + layout.offset(i, j)));
    const double entries =
        static_cast<double>(pattern.kept()) / static_cast<double>(output_.channels * input_.channels);
    return plan_rows(pattern, offsets, panel_channels(input_.channels, entries, window_, width) * kernel * kernel);
}

std::vector<TransposedEntries> SparseConvolution::plan_inputs(const Pattern& pattern, index_t width) const {
    const auto [kernel, stride, padding] = window_;
    const PaddedImage layout = layout_of_dy(width);
    const index_t before = pixels_before(window_);
    const double entries =
        static_cast<double>(pattern.kept()) / static_cast<double>(output_.channels * input_.channels * stride * stride);
    const index_t panel = panel_channels(output_.channels, entries, window_, width);
    std::vector<TransposedEntries> plans;
    std::vector<std::int32_t> rows;
    std::vector<std::uint32_t> offsets;
    for (index_t row_class = 0; row_class < stride; ++row_class)
        for (index_t column_class = 0; column_class < stride; ++column_class) {
            rows.clear();
            offsets.clear();
            for (index_t c = 0; c < input_.channels; ++c)
                for (index_t i = 0; i < kernel; ++i)
                    for (index_t j = 0; j < kernel; ++j) {
                        // a multiple of the stride is never negative here, by the choice of `before`
                        const index_t down = row_class + padding - i + before * stride;
                        const index_t right = column_class + padding - j + before * stride;
                        const bool meets = down % stride == 0 && right % stride == 0;
                        rows.push_back(meets ? static_cast<std::int32_t>(c) : -1);
                        offsets.push_back(
                            meets ? static_cast<std::uint32_t>(layout.offset(down / stride, right / stride)) : 0);
                    }
            plans.push_back(plan_columns(pattern, input_.channels, rows, offsets, layout.channel_stride(), panel));
        }
    return plans;
}

template <class Work>
void SparseConvolution::for_each_block(const Tiling& tiling, const real* x, Work work) {
    const index_t width = tiling.width, stride = window_.stride;
    const PaddedImage layout = layout_of_x(width);
    prepare(layout, padded_x_);
    for (index_t tile = 0; tile < tiling.tiles(); ++tile) {
        layout.fill(x + tile * input_.size() * width, padded_x_.data());
        for (index_t r = 0; r < output_.rows; ++r)
            for_each_group(output_.columns, block_pixels(width), [&](index_t q, index_t pixels) {
                work(padded_x_.data() + layout.offset(r * stride, q * stride),
                     BlockLayout{pixels * width, width, width, output_.pixels() * width, pixels * width},
                     (tile * output_.size() + r * output_.columns + q) * width);
            });
    }
}

void SparseConvolution::multiply(const SparseEntries& plan, const real* values, const real* bias, const Tiling& tiling,
                                 const real* x, real* y) {
    for_each_block(tiling, x, [&](const real* inputs, const BlockLayout& block, index_t output) {
        sparse_multiply(plan, values, inputs, bias, block, y + output);
    });
}

void SparseConvolution::gradient(const SparseEntries& plan, const Tiling& tiling, const real* x, const real* dy,
                                 std::span<real> g, std::span<real> db) {
    if (tiling.tiles() == 0) {
        std::fill(g.begin(), g.end(), real{0});
        std::fill(db.begin(), db.end(), real{0});
    }
    bool accumulate = false;
    for_each_block(tiling, x, [&](const real* inputs, const BlockLayout& block, index_t output) {
        sparse_gradient(plan, inputs, block, dy + output, accumulate, g.data(), db.empty() ? nullptr : db.data());
        accumulate = true;
    });
}

void SparseConvolution::input_gradient(std::span<const TransposedEntries> plans, const Tiling& tiling, const real* dy,
                                       real* dx) {
    const index_t width = tiling.width, stride = window_.stride;
    const PaddedImage layout = layout_of_dy(width);
    prepare(layout, padded_dy_);
    for (index_t tile = 0; tile < tiling.tiles(); ++tile) {
        layout.fill(dy + tile * output_.size() * width, padded_dy_.data());
        real* const dx_tile = dx + tile * input_.size() * width;
        for (index_t row_class = 0; row_class < stride; ++row_class)
            for (index_t column_class = 0; column_class < stride; ++column_class) {
                const TransposedEntries& plan = plans[row_class * stride + column_class];
                const index_t columns = (input_.columns - column_class + stride - 1) / stride;
                for (index_t row = row_class; row < input_.rows; row += stride)
                    for_each_group(columns, block_pixels(width), [&](index_t column, index_t pixels) {
                        const BlockLayout block{pixels * width, width, stride * width, input_.pixels() * width,
                                                pixels * stride * width};
                        sparse_multiply(plan.entries, plan.values.data(),
                                        padded_dy_.data() + layout.offset(row / stride, column), nullptr, block,
                                        dx_tile + (row * input_.columns + column * stride + column_class) * width);
                    });
            }
    }
}

}  // namespace pruntrain
