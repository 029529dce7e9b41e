// Rectified linear unit: y = max(x, 0) (Nair & Hinton 2010).
#include "pruntrain/math/elementwise.hpp"
#include "pruntrain/nn/layer.hpp"

namespace pruntrain {

namespace {

class Relu final : public Layer {
   public:
    explicit Relu(LayerPlace place) : Layer(place, place.input) {}

    std::string describe() const override { return "relu"; }
    bool in_place() const override { return true; }

    void forward(const StepContext& step, const real* x, real* y, Workspace) override { relu(all_of(step, x), y); }

    void backward(const StepContext& step, const real*, const real* y, const real* dy, real* dx, Workspace) override {
        if (dx != nullptr) relu_gradient(all_of(step, y), dy, dx);
    }

   private:
    std::span<const real> all_of(const StepContext& step, const real* array) const {
        return {array, static_cast<std::size_t>(step.tiling.size(output_shape().size()))};
    }
};

}  // namespace

std::unique_ptr<Layer> make_relu(const Config&, LayerPlace place) { return std::make_unique<Relu>(std::move(place)); }

}  // namespace pruntrain
