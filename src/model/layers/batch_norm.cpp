// Batch normalization (Ioffe & Szegedy 2015), for each feature of a vector or each channel of an image:
//     y = scale * xhat + shift,   xhat = (x - mean) / sqrt(variance + epsilon).
// Training uses mean and variance over the n elements of the *global* batch (samples x pixels), so results do not
// depend on the number of ranks. Evaluation uses the running statistics, which track the unbiased variance. Backward,
// with S1 = sum dy and S2 = sum dy * xhat over the global batch:
//     dscale = S2, dshift = S1 (of this slice; gradients are summed over slices later),
//     dx = scale / sqrt(variance + epsilon) * (dy - S1 / n - xhat * S2 / n).
// The variance is mean(x^2) - mean^2 from sums in double, so one message per direction is enough. Its rounding error,
// 2^-53 (mean / std)^2, stays below that of x itself, 2^-24 mean / std, until mean / std reaches 2^29. At that ratio a
// float no longer resolves the std.
#include <algorithm>
#include <cmath>

#include "pruntrain/base/error.hpp"
#include "pruntrain/model/layer.hpp"
#include "pruntrain/model/weight_matrix.hpp"

namespace pruntrain {

namespace {

constexpr index_t partials = 8;  // partial sums, so that a loop over samples vectorizes

/// sums[0] += sum x, sums[1] += sum x^2, over the first `lanes` samples of each line of x (lines, T).
PRUNTRAIN_VECTORIZED
void add_moments(index_t lines, index_t width, index_t lanes, const real* x, double* sums) {
    if (lanes == width) {  // no padding: one long line
        lanes = width = lines * width;
        lines = 1;
    }
    const index_t whole = lanes - lanes % partials;
    double first[partials] = {}, second[partials] = {};
    for (index_t line = 0; line < lines; ++line)
        for (index_t begin = line * width; begin < line * width + whole; begin += partials)
            for (index_t k = 0; k < partials; ++k) {
                const double value = x[begin + k];
                first[k] += value;
                second[k] += value * value;
            }
    for (index_t k = 0; k < partials; ++k) {
        sums[0] += first[k];
        sums[1] += second[k];
    }
    for (index_t line = 0; line < lines; ++line)
        for (index_t lane = whole; lane < lanes; ++lane) {
            const double value = x[line * width + lane];
            sums[0] += value;
            sums[1] += value * value;
        }
}

/// sums[0] += sum dy, sums[1] += sum dy * (x - mean), over all samples of all lines: dy is 0 in padding lanes.
PRUNTRAIN_VECTORIZED
void add_gradient_sums(index_t lines, index_t width, const real* x, const real* dy, real mean, double* sums) {
    double first[partials] = {}, second[partials] = {};
    for (index_t begin = 0; begin < lines * width; begin += partials)
        for (index_t k = 0; k < partials; ++k) {
            const double slope = dy[begin + k];
            first[k] += slope;
            second[k] += slope * (x[begin + k] - mean);
        }
    for (index_t k = 0; k < partials; ++k) {
        sums[0] += first[k];
        sums[1] += second[k];
    }
}

/// y = factor * (x - mean) + shift
PRUNTRAIN_VECTORIZED
void normalize(index_t count, const real* x, real mean, real factor, real shift, real* __restrict y) {
    for (index_t i = 0; i < count; ++i) y[i] = factor * (x[i] - mean) + shift;
}

/// dx = factor * (dy - dy_mean - slope * (x - mean)) in the first `lanes` samples of each line, 0 in the others.
PRUNTRAIN_VECTORIZED
void normalize_gradient(index_t lines, index_t width, index_t lanes, const real* x, const real* dy, real mean,
                        real factor, real dy_mean, real slope, real* __restrict dx) {
    for (index_t i = 0; i < lines * width; ++i) dx[i] = factor * (dy[i] - dy_mean - slope * (x[i] - mean));
    if (lanes == width) return;
    for (index_t line = 0; line < lines; ++line)
        for (index_t lane = lanes; lane < width; ++lane) dx[line * width + lane] = 0;
}

class BatchNorm final : public Layer {
   public:
    BatchNorm(LayerPlace place, double momentum, double epsilon)
        : Layer(place, place.input),
          channels_(static_cast<std::size_t>(place.input.channels)),
          pixels_(place.input.pixels()),
          momentum_(momentum),
          epsilon_(epsilon),
          scale_(make_vector_parameter(scale_name, own(), input_channels().total, Initializer::ones)),
          shift_(make_vector_parameter("shift", own(), input_channels().total, Initializer::zeros)),
          running_mean_{"running_mean", std::vector<real>(channels_, real{0})},
          running_variance_{"running_variance", std::vector<real>(channels_, real{1})},
          mean_(channels_),
          inverse_deviation_(channels_) {}

    std::string describe() const override {
        return text("batch_norm, ", input_channels().total, input_shape().flat() ? " features" : " channels");
    }

    std::vector<Parameter*> parameters() override { return {&scale_, &shift_}; }
    const Parameter* channel_scale() const override { return &scale_; }
    InPlace in_place() const override { return InPlace::never; }
    std::optional<std::vector<double>> of_constants(std::vector<double> inputs) const override {
        for (std::size_t c = 0; c < inputs.size(); ++c)
            inputs[c] = shift_.value[c] + scale_.value[c] * (inputs[c] - running_mean_.values[c]) /
                                              std::sqrt(running_variance_.values[c] + epsilon_);
        return inputs;
    }
    bool take_constants(std::span<const double> constants) override {
        for (std::size_t c = 0; c < channels_; ++c) running_mean_.values[c] -= static_cast<real>(constants[c]);
        return true;
    }
    std::vector<Statistic*> statistics() override { return {&running_mean_, &running_variance_}; }
    std::size_t held_bytes(const Tiling&) const override { return 2 * channels_ * sizeof(double); }

    index_t batch_sums() const override { return static_cast<index_t>(2 * channels_); }

    void forward_sums(const StepContext& step, const real* x, std::span<double> sums) override {
        std::ranges::fill(sums, 0.0);
        for_each_channel(step.tiling, [&](std::size_t c, index_t begin, index_t lanes) {
            add_moments(pixels_, step.tiling.width, lanes, x + begin, &sums[2 * c]);
        });
    }

    void take_forward_sums(const StepContext& step, std::span<const double> sums) override {
        const double numbers = global_numbers(step);
        const double unbiased = numbers / std::max(numbers - 1, 1.0);  // a single element has variance 0 either way
        const auto follow = [&](real& running, double batch) {
            running = static_cast<real>((1 - momentum_) * running + momentum_ * batch);
        };
        for (std::size_t c = 0; c < channels_; ++c) {
            mean_[c] = sums[2 * c] / numbers;
            const double variance = sums[2 * c + 1] / numbers - mean_[c] * mean_[c];
            const double rounded = variance < 0 ? 0 : variance;  // NaN stays NaN
            inverse_deviation_[c] = 1 / std::sqrt(rounded + epsilon_);
            follow(running_mean_.values[c], mean_[c]);
            follow(running_variance_.values[c], rounded * unbiased);
        }
    }

    void forward(const StepContext& step, const real* x, real* y, Workspace) override {
        if (!step.training) take_running_statistics();
        for_each_channel(step.tiling, [&](std::size_t c, index_t begin, index_t) {
            normalize(pixels_ * step.tiling.width, x + begin, static_cast<real>(mean_[c]),
                      static_cast<real>(scale_.value[c] * inverse_deviation_[c]), shift_.value[c], y + begin);
        });
    }

    void backward_sums(const StepContext& step, const real* x, const real* dy, std::span<double> sums) override {
        std::ranges::fill(sums, 0.0);
        for_each_channel(step.tiling, [&](std::size_t c, index_t begin, index_t) {
            add_gradient_sums(pixels_, step.tiling.width, x + begin, dy + begin, static_cast<real>(mean_[c]),
                              &sums[2 * c]);
        });
        for (std::size_t c = 0; c < channels_; ++c) sums[2 * c + 1] *= inverse_deviation_[c];
    }

    void backward(const StepContext& step, const real* x, const real*, const real* dy, real* dx, Gradients gradients,
                  Workspace) override {
        for (std::size_t c = 0; c < channels_; ++c) {
            gradients[1][c] = static_cast<real>(step.own_sums[2 * c]);
            gradients[0][c] = static_cast<real>(step.own_sums[2 * c + 1]);
        }
        if (dx == nullptr) return;
        // Running statistics do not depend on x, so they have no gradient.
        const double part = step.training ? 1 / global_numbers(step) : 0;
        for_each_channel(step.tiling, [&](std::size_t c, index_t begin, index_t lanes) {
            normalize_gradient(pixels_, step.tiling.width, lanes, x + begin, dy + begin, static_cast<real>(mean_[c]),
                               static_cast<real>(scale_.value[c] * inverse_deviation_[c]),
                               static_cast<real>(part * step.global_sums[2 * c]),
                               static_cast<real>(part * inverse_deviation_[c] * step.global_sums[2 * c + 1]),
                               dx + begin);
        });
    }

   private:
    Block own() const { return {input_channels().first, input_shape().channels}; }
    double global_numbers(const StepContext& step) const { return static_cast<double>(step.global_samples * pixels_); }

    /// work(channel, offset of its lines in an array of activations, lanes without padding) for all channels of all
    /// tiles
    template <class Work>
    void for_each_channel(const Tiling& tiling, Work work) const {
        index_t begin = 0;
        for (index_t tile = 0; tile < tiling.tiles(); ++tile)
            for (std::size_t c = 0; c < channels_; ++c, begin += pixels_ * tiling.width)
                work(c, begin, tiling.lanes(tile));
    }

    void take_running_statistics() {
        for (std::size_t c = 0; c < channels_; ++c) {
            mean_[c] = running_mean_.values[c];
            inverse_deviation_[c] = 1 / std::sqrt(running_variance_.values[c] + epsilon_);
        }
    }

    std::size_t channels_;  // or features of a vector
    index_t pixels_;
    double momentum_;
    double epsilon_;
    Parameter scale_;
    Parameter shift_;
    Statistic running_mean_;
    Statistic running_variance_;
    std::vector<double> mean_;  // mean_ and the next one: the values used by the last forward
    std::vector<double> inverse_deviation_;
};

}  // namespace

std::unique_ptr<Layer> make_batch_norm(const Config& config, LayerPlace place) {
    const double momentum =
        config.number("momentum", 0.1, between(0, 1), "weight of the current batch in the running statistics");
    const double epsilon = config.number("epsilon", 1e-5, above(0), "added to the variance for numerical stability");
    if (place.shard.count > 1 && place.channels.total == place.input.channels)
        input_error("layer ", place.name, " (batch_norm) comes before the first dense or conv2d layer: with ",
                    "parallel.model_shards above 1 it must come after it");
    return std::make_unique<BatchNorm>(std::move(place), momentum, epsilon);
}

}  // namespace pruntrain
