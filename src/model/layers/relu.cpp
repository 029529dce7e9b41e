// Rectified linear unit: y = max(x, 0) (Nair & Hinton 2010).
#include <algorithm>

#include "pruntrain/math/elementwise.hpp"
#include "pruntrain/model/layer.hpp"

namespace pruntrain {

namespace {

class Relu final : public Layer {
   public:
    explicit Relu(LayerPlace place) : Layer(place, place.input) {}

    std::string describe() const override { return "relu"; }
    InPlace in_place() const override { return InPlace::overwrites; }
    std::optional<std::vector<double>> of_constants(std::vector<double> inputs) const override {
        for (double& input : inputs) input = std::max(input, 0.0);
        return inputs;
    }

    void forward(const StepContext& step, const real* x, real* y, Workspace) override {
        if (step.choices == Choices::repeat) return take_chosen(step, x, y);
        relu(all_of(step, x), y);
        if (step.choices == Choices::remember) remember(step, y);
    }

    void backward(const StepContext& step, const real*, const real* y, const real* dy, real* dx, Gradients,
                  Workspace) override {
        if (dx == nullptr) return;
        if (step.choices == Choices::repeat) take_chosen(step, dy, dx);
        else relu_gradient(all_of(step, y), dy, dx);
    }

   private:
    std::size_t first_choice(const StepContext& step) const {
        return static_cast<std::size_t>(step.first_tile * step.tiling.width * output_shape().size());
    }
    void remember(const StepContext& step, const real* y) {
        const std::size_t first = first_choice(step), count = all_of(step, y).size();
        if (above_.size() < first + count) above_.resize(first + count);
        for (std::size_t i = 0; i < count; ++i) above_[first + i] = y[i] > 0;
    }
    void take_chosen(const StepContext& step, const real* x, real* y) const {
        const std::uint8_t* const above = above_.data() + first_choice(step);
        for (std::size_t i = 0; i < all_of(step, x).size(); ++i) y[i] = above[i] ? x[i] : real{0};
    }
    std::span<const real> all_of(const StepContext& step, const real* array) const {
        return {array, static_cast<std::size_t>(step.tiling.size(output_shape().size()))};
    }

    std::vector<std::uint8_t> above_;  ///< whether each input was above 0, recorded by the last forward with choices
};

}  // namespace

std::unique_ptr<Layer> make_relu(const Config&, LayerPlace place) { return std::make_unique<Relu>(std::move(place)); }

}  // namespace pruntrain
