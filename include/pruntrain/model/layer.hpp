// One layer of a network: local code without MPI.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/range.hpp"
#include "pruntrain/base/registry.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/math/tile.hpp"
#include "pruntrain/model/parameter.hpp"

namespace pruntrain {

class WeightMatrix;

/// How the outputs of a layer depend on the channels of its input.
enum class Mixing {
    none,       ///< each output channel depends on its own input channel alone
    linear,     ///< on all; partial sums over a part of the channels add up
    nonlinear,  ///< on all, which must be there
};

/// Whether forward and backward work with x and y (and dx and dy) in one array.
enum class InPlace {
    never,
    overwrites,  ///< yes, and x is lost: no layer may need its own output in backward as more than a sign
    view,        ///< yes, always: the output is the input with another shape
};

/// A part of the global batch that is computed independently. Usually a rank has one.
struct Slice {
    index_t first = 0;  ///< position in the global batch of its first sample
    index_t samples = 0;
    /// (tile, input feature, sample) in the network's input tiling, never written; null: `Network::input` of the slice
    real* input = nullptr;
};

/// Relu and max-pool are piecewise linear. A difference of gradients approximates a second derivative only if both
/// gradients belong to the same linear piece, that is, if both use the choices of one forward.
enum class Choices {
    free,      ///< by the input
    remember,  ///< by the input, and recorded
    repeat,    ///< the recorded ones, whatever the input is
};

/// The step that a layer works in. Layers see one slice at a time.
struct StepContext {
    bool training = false;
    std::uint64_t seed = 0;
    index_t step = 0;
    Tiling tiling;             ///< of the slice; a network gives each layer its width
    index_t first_sample = 0;  ///< position in the global batch of the slice's first sample
    index_t first_tile =
        0;  ///< tiles of the rank's slices before this one, for state that a layer keeps between forward and backward
    index_t global_samples = 0;  ///< samples of the global batch over all ranks; > 0
    Choices choices = Choices::free;

    // For a layer with batch_sums, in forward and backward.
    std::span<const double> own_sums;     ///< over this slice; backward
    std::span<const double> global_sums;  ///< over the global batch
};

/// Values that are not trained but belong to the model, such as batch-norm's running mean. Saved in checkpoints.
struct Statistic {
    std::string name;  ///< "running_mean"
    std::vector<real> values;
};

/// Scratch memory that all layers of a network share. It holds nothing between two calls.
using Workspace = std::span<real>;

/// How the outputs of layers are partitioned over the shards. For each layer name: the first output of each shard, then
/// the total, which is less than configured after compaction. Layers without an entry have even blocks.
using Partition = std::map<std::string, std::vector<index_t>>;

/// The shard of a rank among those that share one replica of the model: for each layer the weights of a block of its
/// outputs (column-parallel) or of its inputs (row-parallel).
struct ModelShard {
    index_t number = 0;
    index_t count = 1;
    Partition cuts = {};
    bool allow_row_parallel = true;  ///< false: every layer is column-parallel
};

/// The channels of an activation that a shard holds; the features of a vector are channels.
struct ChannelBlock {
    index_t first = 0;
    index_t total = 0;                  ///< over all shards; 0: as many as on this shard
    std::vector<index_t> offsets = {};  ///< the first channel of each shard, and the total; empty: every shard has all
    index_t configured = 0;             ///< the total before compaction; 0: nothing was removed
    index_t before_removals() const { return configured > 0 ? configured : total; }

    Block of(index_t shard) const {
        const std::size_t number = shard;
        return {offsets[number], offsets[number + 1] - offsets[number]};
    }
};

/// The position of a layer in its network.
struct LayerPlace {
    std::string name;            ///< unique: "conv2d1"
    std::uint32_t number;        ///< from 0; the stream of its random numbers
    Shape input;                 ///< of this shard
    ChannelBlock channels = {};  ///< of the input
    ModelShard shard = {};
    bool prunable = true;  ///< default of the layer's key
};

/// How a layer with weights is partitioned. With all inputs it computes this shard's outputs (column-parallel). With
/// this shard's inputs it computes partial sums of all outputs, which are then reduced and scattered (row-parallel).
struct OutputShare {
    Block own;                ///< outputs, and their bias, that this shard holds in the end
    Block computed;           ///< outputs that the layer computes here: the same, or all
    ChannelBlock outputs;     ///< of the layer on this shard
    ChannelBlock shared_out;  ///< of the reduced partial sums; empty: there are none
};
/// @param outputs  units or channels of the layer
/// @throws InputError if there are fewer than shards
OutputShare share_outputs(const LayerPlace& place, index_t outputs);

// Large because it is an interface: one method for each fact that some other part needs to know of a layer.
class Layer {
   public:
    /// A layer whose outputs are channels of its input, or their pixels.
    Layer(LayerPlace place, Shape output);
    /// A layer with outputs of its own.
    Layer(LayerPlace place, Shape output, ChannelBlock channels);
    /// A layer with weights.
    Layer(LayerPlace place, Shape output, const OutputShare& share);
    virtual ~Layer() = default;
    Layer(const Layer&) = delete;
    Layer& operator=(const Layer&) = delete;

    const std::string& name() const { return place_.name; }
    std::uint32_t number() const { return place_.number; }
    const Shape& input_shape() const { return place_.input; }
    const Shape& output_shape() const { return output_; }
    const ChannelBlock& input_channels() const { return place_.channels; }
    const ChannelBlock& output_channels() const { return channels_; }
    /// The channels whose bias and statistics this shard holds.
    const ChannelBlock& own_channels() const { return computes_partial_sums() ? shared_out_ : channels_; }
    /// Its outputs are partial sums, to be reduced over all shards.
    bool computes_partial_sums() const { return shared_out_.total > 0; }

    virtual std::string describe() const = 0;  ///< "conv2d 3x3, 32 channels, padding 1"
    virtual std::vector<Parameter*> parameters() { return {}; }
    virtual std::vector<Statistic*> statistics() { return {}; }
    /// The weight of a layer that can execute it dense or sparse.
    virtual WeightMatrix* weight_matrix() { return nullptr; }
    /// The factor of each channel in batch-norm; null in other layers.
    virtual const Parameter* channel_scale() const { return nullptr; }

    virtual InPlace in_place() const = 0;

    /// The outputs, in evaluation, of input channels that are constant over all samples and pixels.
    /// @param inputs  one value an input channel of this shard
    /// @return one value an output channel; nothing if unknown: then no channel is removed through this layer
    virtual std::optional<std::vector<double>> of_constants(std::vector<double> inputs) const = 0;
    /// A layer with weights: a constant input channel adds one value to all pixels of an output. Not where windows
    /// reach over the border.
    virtual bool adds_constants() const { return false; }
    /// Adds constants to a bias or its equivalent: to the outputs of a layer with weights, to the inputs of others.
    /// @param constants  one for each of `own_channels` @return false: there is no bias
    virtual bool take_constants(std::span<const double> /*constants*/) { return false; }

    /// Called if the layer before is a relu. A layer that can apply it itself does so from now on and returns true;
    /// then neither direction of that relu is called. Max-pooling commutes with relu.
    virtual bool fuse_relu() { return false; }

    /// Elements of scratch memory that forward or backward need at this tile width.
    virtual index_t workspace_size(index_t /*tile_width*/) const { return 0; }
    /// Multiply-adds of the remaining weights in the forward of this many samples; each of the two products of backward
    /// has as many. 0: no matrix product. For --profile.
    virtual double multiply_adds(index_t /*samples*/) const { return 0; }
    /// Elements, over all shards, that a layer communicates between the shards of the model. For --check.
    struct Exchanged {
        index_t forward = 0, backward = 0;
    };
    virtual Exchanged exchanged(const Tiling&) const { return {}; }
    /// Bytes that the layer itself holds for up to this many samples, such as a pooling's choices. For --check.
    virtual std::size_t held_bytes(const Tiling&) const { return 0; }

    /// How many values forward and backward each need summed over the global batch before they start: the statistics of
    /// batch-norm.
    virtual index_t batch_sums() const { return 0; }
    /// In training, before `forward` of any slice. @param sums  set: over this slice
    virtual void forward_sums(const StepContext&, const real* /*x*/, std::span<double> /*sums*/) {}
    /// In training, once a step, before `forward`. @param sums  over the global batch
    virtual void take_forward_sums(const StepContext&, std::span<const double> /*sums*/) {}
    /// Before `backward` of any slice. @param sums  set: over this slice
    virtual void backward_sums(const StepContext&, const real* /*x*/, const real* /*dy*/, std::span<double> /*sums*/) {}

    /// y (tile, output feature, sample) from x (tile, input feature, sample).
    virtual void forward(const StepContext& step, const real* x, real* y, Workspace workspace) = 0;

    /// From dy = d loss / d y: sets the gradients of its parameters (=, not +=) to the slice's sum, also with no
    /// samples, and sets dx = d loss / d x unless dx is null. `x` is forward's input of the same step. Padding lanes of
    /// dy are 0 and must be 0 in dx.
    virtual void backward(const StepContext& step, const real* x, const real* y, const real* dy, real* dx,
                          Gradients gradients, Workspace workspace) = 0;

   protected:
    /// `of_constants` of a layer that leaves constants as they are, also where a channel becomes a vector.
    std::vector<double> repeat_constants(const std::vector<double>& inputs) const;

   private:
    LayerPlace place_;
    Shape output_;
    ChannelBlock channels_;         ///< of the output
    ChannelBlock shared_out_ = {};  ///< of the sums of outputs that are terms
};

/// Reads all its keys first, then checks the input shape. @throws InputError if it does not accept place.input
struct LayerFactory {
    std::unique_ptr<Layer> (*make)(const Config&, LayerPlace);
    Mixing mixing;

    std::unique_ptr<Layer> operator()(const Config& config, LayerPlace place) const {
        return make(config, std::move(place));
    }
};
const Registry<LayerFactory>& layers();

/// The `initializer` key of a layer with weights.
Initializer read_initializer(const Config& config);

}  // namespace pruntrain
