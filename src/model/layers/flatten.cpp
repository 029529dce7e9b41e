// Reshapes an image (channel, row, column) to a vector, without moving data.
#include "pruntrain/model/layer.hpp"

namespace pruntrain {

namespace {

class Flatten final : public Layer {
   public:
    explicit Flatten(LayerPlace place) : Layer(place, {place.input.size(), 1, 1}) {}

    std::string describe() const override { return "flatten"; }
    InPlace in_place() const override { return InPlace::view; }
    std::optional<std::vector<double>> of_constants(std::vector<double> inputs) const override {
        return repeat_constants(inputs);
    }
    void forward(const StepContext&, const real*, real*, Workspace) override {}
    void backward(const StepContext&, const real*, const real*, const real*, real*, Gradients, Workspace) override {}
};

}  // namespace

std::unique_ptr<Layer> make_flatten(const Config&, LayerPlace place) {
    return std::make_unique<Flatten>(std::move(place));
}

}  // namespace pruntrain
