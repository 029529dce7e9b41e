// Dense layer: y = W x + b, W (M,K), x (K,T) and y (M,T) in each tile.
#include <algorithm>

#include "pruntrain/base/error.hpp"
#include "pruntrain/math/blas.hpp"
#include "pruntrain/math/elementwise.hpp"
#include "pruntrain/nn/layer.hpp"
#include "pruntrain/nn/weight_matrix.hpp"

namespace pruntrain {

namespace {

class Dense final : public Layer {
   public:
    Dense(LayerPlace place, index_t units, bool with_bias, bool prunable, Initializer initializer)
        : Layer(std::move(place), {units, 1, 1}),
          outputs_(units),
          inputs_(input_shape().size()),
          weight_(outputs_, inputs_, {outputs_, inputs_}, prunable, initializer, inputs_, outputs_) {
        if (with_bias) bias_ = make_vector_parameter("bias", units, Initializer::zeros);
    }

    std::string describe() const override { return text("dense, ", outputs_, " units"); }

    std::vector<Parameter*> parameters() override {
        if (bias_.name.empty()) return {&weight_.parameter()};
        return {&weight_.parameter(), &bias_};
    }

    index_t workspace_size(index_t) const override { return weight_.workspace_size(); }
    std::size_t held_bytes(const Tiling&) const override { return weight_.held_bytes(); }

    void forward(const StepContext& step, const real* x, real* y, Workspace) override {
        const index_t width = step.tiling.width;
        const real* const weight = weight_.unpacked();
        for (index_t tile = 0; tile < step.tiling.tiles(); ++tile) {
            real* const y_tile = y + tile * outputs_ * width;
            if (!bias_.name.empty()) fill_rows(bias_.value, width, y_tile);
            matrix_multiply(Transpose::no, Transpose::no, outputs_, width, inputs_, weight, inputs_,
                            x + tile * inputs_ * width, width, bias_.name.empty() ? real{0} : real{1}, y_tile, width);
        }
    }

    void backward(const StepContext& step, const real* x, const real*, const real* dy, real* dx,
                  Workspace workspace) override {
        const index_t width = step.tiling.width, tiles = step.tiling.tiles();
        if (!bias_.name.empty()) {
            std::fill(bias_.gradient.begin(), bias_.gradient.end(), real{0});
            for (index_t tile = 0; tile < tiles; ++tile)
                add_row_sums(dy + tile * outputs_ * width, width, bias_.gradient);
        }
        real* const gradient = weight_.gradient_scratch(workspace);
        if (tiles == 0) std::fill_n(gradient, outputs_ * inputs_, real{0});
        for (index_t tile = 0; tile < tiles; ++tile)
            matrix_multiply(Transpose::no, Transpose::yes, outputs_, inputs_, width, dy + tile * outputs_ * width,
                            width, x + tile * inputs_ * width, width, tile == 0 ? real{0} : real{1}, gradient, inputs_);
        weight_.gather_gradient(gradient);
        if (dx == nullptr) return;
        const real* const weight = weight_.unpacked_by_forward();
        for (index_t tile = 0; tile < tiles; ++tile)
            matrix_multiply(Transpose::yes, Transpose::no, inputs_, width, outputs_, weight, inputs_,
                            dy + tile * outputs_ * width, width, real{0}, dx + tile * inputs_ * width, width);
    }

   private:
    index_t outputs_;  // M
    index_t inputs_;   // K
    WeightMatrix weight_;
    Parameter bias_;  // no name: no bias
};

}  // namespace

std::unique_ptr<Layer> make_dense(const Config& config, LayerPlace place) {
    const index_t units = config.integer("units", std::nullopt, at_least(1), "outputs of the layer");
    const bool bias = config.flag("bias", true, "adds a trained number to each output");
    const bool prunable = config.flag("prunable", true, "its weights may be removed");
    const Initializer initializer = read_initializer(config);
    if (!place.input.flat())
        input_error("layer ", place.name, " (dense) needs a flat input, but gets an image of ", place.input.describe(),
                    ": put {layer: flatten} before it");
    return std::make_unique<Dense>(std::move(place), units, bias, prunable, initializer);
}

}  // namespace pruntrain
