// Dense layer: y = W x + b, W (M,K), x (K,T) and y (M,T) in each tile; backward dW += dy x^T, dx = W^T dy. M and K
// count the outputs and inputs in this shard.
#include <algorithm>
#include <numeric>

#include "pruntrain/base/error.hpp"
#include "pruntrain/math/blas.hpp"
#include "pruntrain/math/elementwise.hpp"
#include "pruntrain/model/layer.hpp"
#include "pruntrain/model/shape_error.hpp"
#include "pruntrain/model/weight_matrix.hpp"

namespace pruntrain {

namespace {

class Dense final : public Layer {
   public:
    Dense(LayerPlace place, const OutputShare& share, bool with_bias, bool prunable, Initializer initializer)
        : Layer(std::move(place), {share.computed.size, 1, 1}, share),
          outputs_(share.computed.size),
          inputs_(input_shape().size()),
          weight_(share.computed, {input_channels().first, inputs_}, {output_channels().total, input_channels().total},
                  prunable, initializer, input_channels().total, output_channels().total) {
        if (with_bias) bias_ = Bias(share.own, output_channels().total, share.computed);
    }

    std::string describe() const override { return text("dense, ", output_channels().total, " units"); }

    std::vector<Parameter*> parameters() override {
        if (!bias_.given()) return {&weight_.parameter()};
        return {&weight_.parameter(), &bias_.parameter()};
    }

    InPlace in_place() const override { return InPlace::never; }
    std::optional<std::vector<double>> of_constants(std::vector<double>) const override { return {}; }
    bool adds_constants() const override { return true; }
    WeightMatrix* weight_matrix() override { return &weight_; }
    bool take_constants(std::span<const double> constants) override { return bias_.add(constants); }
    double multiply_adds(index_t samples) const override {
        return static_cast<double>(weight_.parameter().pattern.kept() * samples);
    }

    index_t workspace_size(index_t) const override { return weight_.workspace_size(); }
    std::size_t held_bytes(const Tiling&) const override { return weight_.held_bytes(); }

    void forward(const StepContext& step, const real* x, real* y, Workspace) override {
        const index_t width = step.tiling.width, tiles = step.tiling.tiles();
        const std::span<const real> bias = bias_.values();
        if (weight_.sparse()) {
            const SparseEntries& plan = row_plan(width);
            for (index_t tile = 0; tile < tiles; ++tile)
                sparse_multiply(plan, weight_.parameter().value.data(), x + tile * inputs_ * width,
                                bias.empty() ? nullptr : bias.data(), block(width, outputs_),
                                y + tile * outputs_ * width);
            return;
        }
        const real* const weight = weight_.unpacked();
        for (index_t tile = 0; tile < tiles; ++tile) {
            real* const y_tile = y + tile * outputs_ * width;
            if (!bias.empty()) fill_rows(bias, width, y_tile);
            matrix_multiply(Transpose::no, Transpose::no, outputs_, width, inputs_, weight, inputs_,
                            x + tile * inputs_ * width, width, bias.empty() ? real{0} : real{1}, y_tile, width);
        }
    }

    void backward(const StepContext& step, const real* x, const real*, const real* dy, real* dx, Gradients gradients,
                  Workspace workspace) override {
        const index_t width = step.tiling.width, tiles = step.tiling.tiles();
        if (weight_.sparse()) backward_sparse(width, tiles, x, dy, dx, gradients);
        else backward_dense(width, tiles, x, dy, dx, gradients, workspace);
        bias_.gather_gradient(gradients);
    }

   private:
    void backward_dense(index_t width, index_t tiles, const real* x, const real* dy, real* dx, Gradients gradients,
                        Workspace workspace) {
        real* const gradient = weight_.gradient_scratch(gradients[0], workspace);
        if (tiles == 0) std::fill_n(gradient, outputs_ * inputs_, real{0});
        const std::span<real> of_bias = bias_.gradient_scratch(gradients);
        std::ranges::fill(of_bias, real{0});
        if (!of_bias.empty())
            for (index_t tile = 0; tile < tiles; ++tile) add_row_sums(dy + tile * outputs_ * width, width, of_bias);
        for (index_t tile = 0; tile < tiles; ++tile)
            matrix_multiply(Transpose::no, Transpose::yes, outputs_, inputs_, width, dy + tile * outputs_ * width,
                            width, x + tile * inputs_ * width, width, tile == 0 ? real{0} : real{1}, gradient, inputs_);
        weight_.gather_gradient(gradient, gradients[0]);
        if (dx == nullptr) return;
        const real* const weight = weight_.unpacked_by_forward();
        for (index_t tile = 0; tile < tiles; ++tile)
            matrix_multiply(Transpose::yes, Transpose::no, inputs_, width, outputs_, weight, inputs_,
                            dy + tile * outputs_ * width, width, real{0}, dx + tile * inputs_ * width, width);
    }

    void backward_sparse(index_t width, index_t tiles, const real* x, const real* dy, real* dx, Gradients gradients) {
        const std::span<real> of_bias = bias_.gradient_scratch(gradients);
        if (tiles == 0) {
            std::ranges::fill(gradients[0], real{0});
            std::ranges::fill(of_bias, real{0});
        }
        const SparseEntries& rows = row_plan(width);
        for (index_t tile = 0; tile < tiles; ++tile)
            sparse_gradient(rows, x + tile * inputs_ * width, block(width, outputs_), dy + tile * outputs_ * width,
                            tile > 0, gradients[0].data(), of_bias.empty() ? nullptr : of_bias.data());
        if (dx == nullptr) return;
        const TransposedEntries& columns = column_plan(width);
        for (index_t tile = 0; tile < tiles; ++tile)
            sparse_multiply(columns.entries, columns.values.data(), dy + tile * outputs_ * width, nullptr,
                            block(width, inputs_), dx + tile * inputs_ * width);
    }

    /// A block is a tile: all its samples of one feature are contiguous.
    static BlockLayout block(index_t width, index_t rows) {
        return {.lanes = width, .piece = width, .piece_stride = width, .row_stride = width, .next = rows * width};
    }

    const SparseEntries& row_plan(index_t width) {
        return weight_.row_plan(width, [&](const Pattern& pattern) {
            std::vector<std::uint32_t> offsets(static_cast<std::size_t>(inputs_));
            for (index_t j = 0; j < inputs_; ++j) offsets[j] = static_cast<std::uint32_t>(j * width);
            return plan_rows(pattern, offsets, panel(inputs_, width));
        });
    }

    const TransposedEntries& column_plan(index_t width) {
        const auto make = [&](const Pattern& pattern) {
            std::vector<std::int32_t> rows(static_cast<std::size_t>(inputs_));
            std::iota(rows.begin(), rows.end(), 0);
            const std::vector<std::uint32_t> offsets(rows.size(), 0);
            std::vector<TransposedEntries> plans;
            plans.push_back(plan_columns(pattern, inputs_, rows, offsets, width, panel(outputs_, width)));
            return plans;
        };
        return weight_.column_plans(width, make).front();
    }

    index_t panel(index_t features, index_t width) {
        return panel_inputs(features, weight_.density(), width * static_cast<index_t>(sizeof(real)));
    }

    index_t outputs_;  // M
    index_t inputs_;   // K
    WeightMatrix weight_;
    Bias bias_;
};

}  // namespace

std::unique_ptr<Layer> make_dense(const Config& config, LayerPlace place) {
    constexpr index_t most = 0x7FFFFFFF;                // rows or columns of a matrix, as BLAS counts them
    constexpr index_t most_outputs = index_t{1} << 27;  // a layer of more would take minutes to set up
    constexpr index_t most_weights = index_t{1} << 40;  // far from an overflow of their bytes, with optimizer state
    const index_t units = config.integer("units", std::nullopt, between(1, most_outputs), "number of outputs");
    const bool bias = config.flag("bias", true, "learnable bias");
    const bool prunable =
        config.flag("prunable", place.prunable,
                    "pruning may remove weights of this layer; default of the last one with granularity: row: false");
    const Initializer initializer = read_initializer(config);
    if (!place.input.flat())
        throw ShapeError(text("layer ", place.name, " (dense) needs a flat input, but its input is an image of ",
                              place.input.describe(), ": put {layer: flatten} before it"));
    const index_t inputs = place.input.size();
    if (inputs > most || inputs > most_weights / units)
        input_error("layer ", place.name, " has ", inputs, " inputs and ", config.place_of("units"), " is ", units,
                    ": allowed are at most ", most, " inputs, and ", most_weights,
                    " weights; make it or the layers before it narrower");
    const OutputShare share = share_outputs(place, units);
    return std::make_unique<Dense>(std::move(place), share, bias, prunable, initializer);
}

}  // namespace pruntrain
