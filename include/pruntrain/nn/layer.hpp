// One layer of a network: local code that knows neither MPI nor the trainer.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/registry.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/math/tile.hpp"
#include "pruntrain/nn/parameter.hpp"

namespace pruntrain {

class WeightMatrix;

/// What a layer may know of the step it works in.
struct StepContext {
    bool training = false;
    std::uint64_t seed = 0;
    index_t step = 0;
    Tiling tiling;               ///< this rank's samples; a network gives each layer its width
    index_t first_sample = 0;    ///< position in the global batch of this rank's first sample
    index_t global_samples = 0;  ///< samples of the global batch over all ranks; > 0
    /// Sums in place over all ranks that share the global batch. Every rank calls it alike, also with no samples.
    std::function<void(std::span<double>)> sum_over_replicas = [](std::span<double>) {};
};

/// Numbers that are not trained but belong to the model: the running mean of batch-norm. Saved in checkpoints.
struct Statistic {
    std::string name;  ///< "running_mean"
    std::vector<real> values;
};

/// Scratch memory, shared by all layers of a network: holds nothing between two calls. Each layer says how much it
/// needs.
using Workspace = std::span<real>;

/// Where a layer stands in its network.
struct LayerPlace {
    std::string name;      ///< unique: "conv2d1"
    std::uint32_t number;  ///< from 0; the stream of its random numbers
    Shape input;
};

class Layer {
   public:
    Layer(LayerPlace place, Shape output) : place_(std::move(place)), output_(output) {}
    virtual ~Layer() = default;
    Layer(const Layer&) = delete;
    Layer& operator=(const Layer&) = delete;

    const std::string& name() const { return place_.name; }
    std::uint32_t number() const { return place_.number; }
    const Shape& input_shape() const { return place_.input; }
    const Shape& output_shape() const { return output_; }

    virtual std::string describe() const = 0;  ///< "conv2d 3x3, 32 channels, padding 1"
    virtual std::vector<Parameter*> parameters() { return {}; }
    virtual std::vector<Statistic*> statistics() { return {}; }
    /// The weight of a layer that can execute it dense or sparse.
    virtual WeightMatrix* weight_matrix() { return nullptr; }

    /// y and x are one array (and dx and dy): relu, dropout, flatten. Such a layer may change its input, so no layer
    /// may need its own output in backward as more than a sign.
    virtual bool in_place() const { return false; }

    /// The layer before is a relu. A layer that can do its work on the way does so from now on and says yes: then
    /// neither direction of that relu is called. The largest of a window commutes with it.
    virtual bool take_over_relu() { return false; }

    /// Numbers of scratch that forward or backward need at this tile width.
    virtual index_t workspace_size(index_t /*tile_width*/) const { return 0; }
    /// Multiply-adds of the kept weights in the forward of so many samples; each of the two products of backward has as
    /// many. 0: its work is no matrix product. For --profile.
    virtual double multiply_adds(index_t /*samples*/) const { return 0; }
    /// Bytes that the layer holds itself for up to this many samples (a pooling's choices), for --check.
    virtual std::size_t held_bytes(const Tiling&) const { return 0; }

    /// y (tile, output feature, sample) from x (tile, input feature, sample).
    virtual void forward(const StepContext& step, const real* x, real* y, Workspace workspace) = 0;

    /// From dy = d loss / d y: sets the gradients of its parameters (=, not +=) to this rank's sum, also with no
    /// samples, and sets dx = d loss / d x unless dx is null. `x` is forward's input of the same step. Padding lanes of
    /// dy are 0 and must be 0 in dx.
    virtual void backward(const StepContext& step, const real* x, const real* y, const real* dy, real* dx,
                          Workspace workspace) = 0;

   private:
    LayerPlace place_;
    Shape output_;
};

/// Reads all its keys first, then checks the input shape. @throws InputError if it does not accept place.input
using LayerFactory = std::unique_ptr<Layer> (*)(const Config&, LayerPlace);
const Registry<LayerFactory>& layers();

/// The `initializer` key of a layer with weights.
Initializer read_initializer(const Config& config);

}  // namespace pruntrain
