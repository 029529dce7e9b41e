// Convolution (LeCun et al. 1998) in the machine-learning sense, a cross-correlation:
//     y[o,r,q] = b[o] + sum over c,i,j of W[o,c,i,j] x[c, r*stride - padding + i, q*stride - padding + j].
// Dense execution multiplies matrices, for a block of p output pixels of a tile: y (O, p*T) = W (O, C*k*k) x columns
// (C*k*k, p*T) with im2col. Backward: dW += dy columns^T, dx += col2im(W^T dy). The columns of a block stay in the
// cache between im2col and the product. So backward recomputes them, which costs less than storing them.
#include <algorithm>

#include "pruntrain/base/error.hpp"
#include "pruntrain/math/blas.hpp"
#include "pruntrain/math/elementwise.hpp"
#include "pruntrain/math/im2col.hpp"
#include "pruntrain/math/sparse_convolution.hpp"
#include "pruntrain/model/layer.hpp"
#include "pruntrain/model/weight_matrix.hpp"
#include "pruntrain/model/window.hpp"

namespace pruntrain {

namespace {

constexpr index_t block_bytes = index_t{256} * 1024;  // columns of a block: half an L2 cache of current server cores
constexpr index_t block_numbers = 64;                 // minimum columns, else BLAS spends its time packing W

class Conv2d final : public Layer {
   public:
    Conv2d(LayerPlace place, Shape output, const Window& window, const OutputShare& share, bool with_bias,
           bool prunable, Initializer initializer)
        : Layer(std::move(place), output, share),
          window_(window),
          outputs_(output.channels),
          inputs_(input_shape().channels * window.size()),
          weight_(share.computed, {input_channels().first * window.size(), inputs_},
                  {output_channels().total, input_channels().total, window.kernel, window.kernel}, prunable,
                  initializer, input_channels().total * window.size(), output_channels().total * window.size()),
          sparse_(input_shape(), output, window) {
        if (with_bias) bias_ = Bias(share.own, output_channels().total, share.computed);
    }

    std::string describe() const override {
        const auto [kernel, stride, padding] = window_;
        return text("conv2d ", kernel, "x", kernel, ", ", output_channels().total, " channels",
                    stride > 1 ? text(", stride ", stride) : "", padding > 0 ? text(", padding ", padding) : "");
    }

    std::vector<Parameter*> parameters() override {
        if (!bias_.given()) return {&weight_.parameter()};
        return {&weight_.parameter(), &bias_.parameter()};
    }

    InPlace in_place() const override { return InPlace::never; }
    std::optional<std::vector<double>> of_constants(std::vector<double>) const override { return {}; }
    WeightMatrix* weight_matrix() override { return &weight_; }
    bool take_constants(std::span<const double> constants) override { return bias_.add(constants); }
    bool adds_constants() const override { return window_.padding == 0; }
    double multiply_adds(index_t samples) const override {
        return static_cast<double>(weight_.parameter().pattern.kept() * output_shape().pixels() * samples);
    }

    index_t workspace_size(index_t width) const override {
        return direct() ? 0 : 2 * columns_size(width) + weight_.workspace_size();
    }
    std::size_t held_bytes(const Tiling&) const override { return weight_.held_bytes() + sparse_.held_bytes(); }

    void forward(const StepContext& step, const real* x, real* y, Workspace workspace) override {
        const std::span<const real> bias = bias_.values();
        if (direct())
            sparse_.multiply(row_plan(step.tiling.width), weight_.parameter().value.data(),
                             bias.empty() ? nullptr : bias.data(), step.tiling, x, y);
        else forward_dense(step, bias, x, y, workspace);
    }

    void backward(const StepContext& step, const real* x, const real*, const real* dy, real* dx, Gradients gradients,
                  Workspace workspace) override {
        if (direct()) backward_direct(step.tiling, x, dy, dx, gradients);
        else backward_dense(step, x, dy, dx, gradients, workspace);
        bias_.gather_gradient(gradients);
    }

   private:
    /// True if the sparse kernels replace im2col and BLAS: for sparse execution, and for small windows, where BLAS does
    /// not reach its full rate.
    bool direct() const {
        constexpr index_t few_inputs = 32;
        return weight_.sparse() || inputs_ <= few_inputs;
    }

    void forward_dense(const StepContext& step, std::span<const real> bias, const real* x, real* y,
                       Workspace workspace) {
        const index_t width = step.tiling.width, row = output_shape().pixels() * width;  // elements in a row of y
        const real* const weight = weight_.unpacked();
        real* const columns = workspace.data();
        for_each_block(step.tiling, [&](index_t tile, index_t first, index_t count) {
            const index_t numbers = count * width;
            real* const y_block = y + tile * outputs_ * row + first * width;
            im2col(input_shape(), window_, width, first, count, x + tile * input_shape().size() * width, columns);
            for (std::size_t o = 0; o < bias.size(); ++o)
                std::fill_n(y_block + static_cast<index_t>(o) * row, numbers, bias[o]);
            matrix_multiply(Transpose::no, Transpose::no, outputs_, numbers, inputs_, weight, inputs_, columns, numbers,
                            bias.empty() ? real{0} : real{1}, y_block, row);
        });
    }

    void backward_dense(const StepContext& step, const real* x, const real* dy, real* dx, Gradients gradients,
                        Workspace workspace) {
        const index_t width = step.tiling.width, row = output_shape().pixels() * width;
        real* const columns = workspace.data();
        real* const dcolumns = columns + columns_size(width);
        real* const gradient = weight_.gradient_scratch(gradients[0], workspace.subspan(2 * columns_size(width)));
        if (step.tiling.tiles() == 0) std::fill_n(gradient, outputs_ * inputs_, real{0});
        if (const std::span<real> of_bias = bias_.gradient_scratch(gradients); !of_bias.empty()) {
            std::ranges::fill(of_bias, real{0});
            for (index_t tile = 0; tile < step.tiling.tiles(); ++tile)
                add_row_sums(dy + tile * outputs_ * row, row, of_bias);
        }
        if (dx != nullptr) std::fill_n(dx, step.tiling.size(input_shape().size()), real{0});
        const real* const weight = weight_.unpacked_by_forward();
        for_each_block(step.tiling, [&](index_t tile, index_t first, index_t count) {
            const index_t numbers = count * width;
            const index_t tile_begin = tile * input_shape().size() * width;
            const real* const dy_block = dy + tile * outputs_ * row + first * width;
            im2col(input_shape(), window_, width, first, count, x + tile_begin, columns);
            matrix_multiply(Transpose::no, Transpose::yes, outputs_, inputs_, numbers, dy_block, row, columns, numbers,
                            tile == 0 && first == 0 ? real{0} : real{1}, gradient, inputs_);
            if (dx == nullptr) return;
            matrix_multiply(Transpose::yes, Transpose::no, inputs_, numbers, outputs_, weight, inputs_, dy_block, row,
                            real{0}, dcolumns, numbers);
            col2im(input_shape(), window_, width, first, count, dcolumns, dx + tile_begin);
        });
        weight_.gather_gradient(gradient, gradients[0]);
    }

    void backward_direct(const Tiling& tiling, const real* x, const real* dy, real* dx, Gradients gradients) {
        sparse_.gradient(row_plan(tiling.width), tiling, x, dy, gradients[0], bias_.gradient_scratch(gradients));
        if (dx == nullptr) return;
        const auto plans = weight_.column_plans(
            tiling.width, [&](const Pattern& pattern) { return sparse_.plan_inputs(pattern, tiling.width); });
        sparse_.input_gradient(plans, tiling, dy, dx);
    }

    const SparseEntries& row_plan(index_t width) {
        return weight_.row_plan(width, [&](const Pattern& pattern) { return sparse_.plan_outputs(pattern, width); });
    }

    /// Output pixels of a block at tile width T, all blocks about equal.
    index_t block_pixels(index_t width) const {
        const index_t pixels = output_shape().pixels();
        const index_t fits = block_bytes / (inputs_ * width * static_cast<index_t>(sizeof(real)));
        const index_t largest = std::max({index_t{1}, fits, block_numbers / width});
        const index_t blocks = (pixels + largest - 1) / largest;
        return (pixels + blocks - 1) / blocks;
    }

    index_t columns_size(index_t width) const { return inputs_ * block_pixels(width) * width; }

    /// work(tile, first pixel, pixels)
    template <class Work>
    void for_each_block(const Tiling& tiling, Work work) const {
        const index_t pixels = output_shape().pixels(), block = block_pixels(tiling.width);
        for (index_t tile = 0; tile < tiling.tiles(); ++tile)
            for (index_t first = 0; first < pixels; first += block) work(tile, first, std::min(block, pixels - first));
    }

    Window window_;
    index_t outputs_;  // O in this shard
    index_t inputs_;   // C*k*k
    WeightMatrix weight_;
    SparseConvolution sparse_;
    Bias bias_;
};

}  // namespace

std::unique_ptr<Layer> make_conv2d(const Config& config, LayerPlace place) {
    constexpr index_t most = 0x7FFFFFFF;                // rows or columns of a matrix, as BLAS counts them
    constexpr index_t most_outputs = index_t{1} << 27;  // a layer of more would take minutes to set up
    constexpr index_t most_weights = index_t{1} << 40;  // far from an overflow of their bytes, with optimizer state
    const index_t channels = config.integer("channels", std::nullopt, between(1, most_outputs), "output channels");
    const index_t kernel = config.integer("kernel", 3, between(1, 1024), "rows and columns of the convolution kernel");
    const index_t stride = config.integer("stride", 1, at_least(1), "pixels between windows");
    const index_t padding = config.integer("padding", 0, between(0, 1023), "zeros around the image, less than kernel");
    const bool bias = config.flag("bias", true, "learnable bias");
    const bool prunable =
        config.flag("prunable", place.prunable,
                    "pruning may remove weights of this layer; default of the last one with granularity: row: false");
    const Initializer initializer = read_initializer(config);
    if (padding >= kernel)
        input_error(config.place_of("padding"), " is ", padding, ": it must be less than the kernel, ", kernel,
                    ", else some windows contain only zeros");
    const index_t window_inputs = kernel * kernel;
    if (place.input.channels > most / window_inputs || place.input.channels * window_inputs > most_weights / channels)
        input_error("layer ", place.name, " has ", place.input.channels, " input channels, a kernel of ", kernel, "x",
                    kernel, ", and ", config.place_of("channels"), " is ", channels, ": allowed are at most ", most,
                    " inputs of a window, and ", most_weights, " weights; make it or the layers before it narrower");
    const Window window{kernel, stride, padding};
    const OutputShare share = share_outputs(place, channels);
    const Shape output = windowed_shape(place, "conv2d", window, share.computed.size);
    return std::make_unique<Conv2d>(std::move(place), output, window, share, bias, prunable, initializer);
}

}  // namespace pruntrain
