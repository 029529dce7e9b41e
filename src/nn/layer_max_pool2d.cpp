// Largest of each window: y[c,r,q] = max over i,j of x[c, r*stride + i, q*stride + j]. Backward gives dy to the first
// largest in row-major order, which it finds again from x: so nothing is held between the two.
#include <algorithm>

#include "pruntrain/base/error.hpp"
#include "pruntrain/nn/layer.hpp"
#include "pruntrain/nn/window.hpp"

namespace pruntrain {

namespace {

/// largest (T) = the largest of the window whose first pixel is x, a NaN if there is one.
inline void largest_of_window(const Shape& image, const Window& window, index_t width, const real* x,
                              real* __restrict largest) {
    for (index_t lane = 0; lane < width; ++lane) largest[lane] = x[lane];
    for (index_t i = 0; i < window.kernel; ++i)
        for (index_t j = 0; j < window.kernel; ++j) {
            const real* const line = x + (i * image.columns + j) * width;
            for (index_t lane = 0; lane < width; ++lane) {
                const real larger = line[lane] > largest[lane] ? line[lane] : largest[lane];
                largest[lane] = line[lane] != line[lane] ? line[lane] : larger;
            }
        }
}

/// y (planes, outputs of image, T) from x (planes, pixels of image, T).
PRUNTRAIN_VECTORIZED
void max_pool(const Shape& image, const Window& window, index_t planes, index_t width, const real* x, real* y) {
    const index_t rows = window.places(image.rows), columns = window.places(image.columns);
    for (index_t plane = 0; plane < planes; ++plane, x += image.pixels() * width)
        for (index_t r = 0; r < rows; ++r)
            for (index_t q = 0; q < columns; ++q, y += width)
                largest_of_window(image, window, width, x + (r * image.columns + q) * window.stride * width, y);
}

/// dx (planes, pixels of image, T) += dy at the first largest of each window.
/// Scratch: largest (T); left (T), dy where its place is still to be found.
PRUNTRAIN_VECTORIZED
void max_pool_gradient(const Shape& image, const Window& window, index_t planes, index_t width, const real* x,
                       const real* dy, real* __restrict dx, real* __restrict largest, real* __restrict left) {
    const index_t rows = window.places(image.rows), columns = window.places(image.columns);
    for (index_t plane = 0; plane < planes; ++plane, x += image.pixels() * width, dx += image.pixels() * width)
        for (index_t r = 0; r < rows; ++r)
            for (index_t q = 0; q < columns; ++q, dy += width) {
                const index_t corner = (r * image.columns + q) * window.stride * width;
                largest_of_window(image, window, width, x + corner, largest);
                for (index_t lane = 0; lane < width; ++lane) left[lane] = dy[lane];
                for (index_t i = 0; i < window.kernel; ++i)
                    for (index_t j = 0; j < window.kernel; ++j) {
                        const index_t line = corner + (i * image.columns + j) * width;
                        for (index_t lane = 0; lane < width; ++lane) {
                            const real found = x[line + lane] == largest[lane] ? real{1} : real{0};
                            dx[line + lane] += found * left[lane];
                            left[lane] *= 1 - found;
                        }
                    }
            }
}

class MaxPool2d final : public Layer {
   public:
    MaxPool2d(LayerPlace place, Shape output, const Window& window)
        : Layer(std::move(place), output), window_(window) {}

    std::string describe() const override {
        return text("max_pool2d ", window_.kernel, "x", window_.kernel, ", stride ", window_.stride);
    }

    index_t workspace_size(index_t tile_width) const override { return 2 * tile_width; }

    void forward(const StepContext& step, const real* x, real* y, Workspace) override {
        max_pool(input_shape(), window_, planes(step), step.tiling.width, x, y);
    }

    void backward(const StepContext& step, const real* x, const real*, const real* dy, real* dx,
                  Workspace workspace) override {
        if (dx == nullptr) return;
        std::fill_n(dx, step.tiling.size(input_shape().size()), real{0});
        max_pool_gradient(input_shape(), window_, planes(step), step.tiling.width, x, dy, dx, workspace.data(),
                          workspace.data() + step.tiling.width);
    }

   private:
    index_t planes(const StepContext& step) const { return step.tiling.tiles() * input_shape().channels; }

    Window window_;
};

}  // namespace

std::unique_ptr<Layer> make_max_pool2d(const Config& config, LayerPlace place) {
    const Window window = read_pooling_window(config);
    const Shape output = windowed_shape(place, "max_pool2d", window, place.input.channels);
    return std::make_unique<MaxPool2d>(std::move(place), output, window);
}

}  // namespace pruntrain
