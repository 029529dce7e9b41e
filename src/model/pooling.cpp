#include "pruntrain/model/pooling.hpp"

#include <algorithm>
#include <vector>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

namespace {

/// y is the pixel of each window that an earlier forward selected.
void take_chosen(const PoolingWindows& windows, const real* x, const std::uint8_t* choices, real* y) {
    const index_t kernel = windows.window.kernel, width = windows.width;
    for_each_window(windows, [&](index_t corner, index_t place) {
        for (index_t lane = 0; lane < width; ++lane) {
            const index_t choice = choices[place + lane];
            const index_t pixel = choice / kernel * windows.columns + choice % kernel;
            const bool cut_off = windows.rectified && choice >= kernel * kernel;
            y[place + lane] = cut_off ? real{0} : x[corner + pixel * width + lane];
        }
    });
}

class Pooling final : public Layer {
   public:
    Pooling(LayerPlace place, Shape output, const Window& window, const PoolingKernels& kernels)
        : Layer(std::move(place), output), window_(window), kernels_(kernels) {}

    InPlace in_place() const override { return InPlace::never; }
    std::optional<std::vector<double>> of_constants(std::vector<double> inputs) const override {
        return repeat_constants(inputs);
    }
    std::string describe() const override {
        return text(kernels_.type, " ", window_.kernel, "x", window_.kernel, ", stride ", window_.stride);
    }

    bool fuse_relu() override {
        rectified_ = kernels_.with_choices && window_.kernel < 16;  // one more choice is needed: none of the pixels
        return rectified_;
    }

    std::size_t held_bytes(const Tiling& tiling) const override {
        return kernels_.with_choices ? static_cast<std::size_t>(tiling.size(output_shape().size())) : 0;
    }

    void forward(const StepContext& step, const real* x, real* y, Workspace) override {
        const std::size_t needed = first_choice(step) + held_bytes(step.tiling);
        if (choices_.size() < needed) choices_.resize(needed);
        std::uint8_t* const choices = choices_.data() + first_choice(step);
        if (step.choices == Choices::repeat && kernels_.with_choices)
            return take_chosen(windows(step.tiling), x, choices, y);
        kernels_.forward(windows(step.tiling), x, y, choices);
    }

    void backward(const StepContext& step, const real*, const real*, const real* dy, real* dx, Gradients,
                  Workspace) override {
        if (dx == nullptr) return;
        const PoolingWindows all = windows(step.tiling);
        if (!all.tile_the_plane()) std::fill_n(dx, step.tiling.size(input_shape().size()), real{0});
        kernels_.backward(all, dy, choices_.data() + first_choice(step), dx);
    }

   private:
    std::size_t first_choice(const StepContext& step) const {
        return held_bytes({step.first_tile * step.tiling.width, step.tiling.width});
    }

    PoolingWindows windows(const Tiling& tiling) const {
        const Shape& image = input_shape();
        return {tiling.tiles() * image.channels, image.rows, image.columns, window_, tiling.width, rectified_};
    }

    Window window_;
    PoolingKernels kernels_;
    bool rectified_ = false;
    AlignedVector<std::uint8_t> choices_;  // of the last forward
};

}  // namespace

std::unique_ptr<Layer> make_pooling(const Config& config, LayerPlace place, const PoolingKernels& kernels) {
    const Window window = read_pooling_window(config);
    const Shape output = windowed_shape(place, kernels.type, window, place.input.channels);
    if (kernels.with_choices && window.kernel > 16)
        input_error("layer ", place.name, " (", kernels.type, ") has a kernel of ", window.kernel, "x", window.kernel,
                    ", but 16x16 is the largest: use two layers in sequence, such as 14 "
                    "and 2 instead of 28");
    return std::make_unique<Pooling>(std::move(place), output, window, kernels);
}

}  // namespace pruntrain
