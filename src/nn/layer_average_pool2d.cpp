// Mean of each window: y[c,r,q] = 1/k^2 sum over i,j of x[c, r*stride + i, q*stride + j].
#include <algorithm>

#include "pruntrain/base/error.hpp"
#include "pruntrain/nn/layer.hpp"
#include "pruntrain/nn/window.hpp"

namespace pruntrain {

namespace {

/// y (planes, outputs of image, T) from x (planes, pixels of image, T).
PRUNTRAIN_VECTORIZED
void average_pool(const Shape& image, const Window& window, index_t planes, index_t width, const real* x,
                  real* __restrict y) {
    const index_t rows = window.places(image.rows), columns = window.places(image.columns);
    const real share = real{1} / static_cast<real>(window.kernel * window.kernel);
    for (index_t plane = 0; plane < planes; ++plane, x += image.pixels() * width)
        for (index_t r = 0; r < rows; ++r)
            for (index_t q = 0; q < columns; ++q, y += width) {
                for (index_t lane = 0; lane < width; ++lane) y[lane] = 0;
                for (index_t i = 0; i < window.kernel; ++i)
                    for (index_t j = 0; j < window.kernel; ++j) {
                        const real* const line =
                            x + ((r * window.stride + i) * image.columns + q * window.stride + j) * width;
                        for (index_t lane = 0; lane < width; ++lane) y[lane] += share * line[lane];
                    }
            }
}

/// dx (planes, pixels of image, T) += dy / k^2 all over each window.
PRUNTRAIN_VECTORIZED
void average_pool_gradient(const Shape& image, const Window& window, index_t planes, index_t width, const real* dy,
                           real* __restrict dx) {
    const index_t rows = window.places(image.rows), columns = window.places(image.columns);
    const real share = real{1} / static_cast<real>(window.kernel * window.kernel);
    for (index_t plane = 0; plane < planes; ++plane, dx += image.pixels() * width)
        for (index_t r = 0; r < rows; ++r)
            for (index_t q = 0; q < columns; ++q, dy += width)
                for (index_t i = 0; i < window.kernel; ++i)
                    for (index_t j = 0; j < window.kernel; ++j) {
                        real* const line =
                            dx + ((r * window.stride + i) * image.columns + q * window.stride + j) * width;
                        for (index_t lane = 0; lane < width; ++lane) line[lane] += share * dy[lane];
                    }
}

class AveragePool2d final : public Layer {
   public:
    AveragePool2d(LayerPlace place, Shape output, const Window& window)
        : Layer(std::move(place), output), window_(window) {}

    std::string describe() const override {
        return text("average_pool2d ", window_.kernel, "x", window_.kernel, ", stride ", window_.stride);
    }

    void forward(const StepContext& step, const real* x, real* y, Workspace) override {
        average_pool(input_shape(), window_, planes(step), step.tiling.width, x, y);
    }

    void backward(const StepContext& step, const real*, const real*, const real* dy, real* dx, Workspace) override {
        if (dx == nullptr) return;
        std::fill_n(dx, step.tiling.size(input_shape().size()), real{0});
        average_pool_gradient(input_shape(), window_, planes(step), step.tiling.width, dy, dx);
    }

   private:
    index_t planes(const StepContext& step) const { return step.tiling.tiles() * input_shape().channels; }

    Window window_;
};

}  // namespace

std::unique_ptr<Layer> make_average_pool2d(const Config& config, LayerPlace place) {
    const Window window = read_pooling_window(config);
    const Shape output = windowed_shape(place, "average_pool2d", window, place.input.channels);
    return std::make_unique<AveragePool2d>(std::move(place), output, window);
}

}  // namespace pruntrain
