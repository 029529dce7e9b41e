// One layer of a network: local code that knows neither MPI nor the trainer.
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

/// A part of the global batch that is computed by itself. Usually a rank has one.
struct Slice {
    index_t first = 0;  ///< position in the global batch of its first sample
    index_t samples = 0;
    /// (tile, input feature, sample) in the network's input tiling, never written; null: `Network::input` of the slice
    real* input = nullptr;
};

/// Relu and max-pool are linear but for what they choose. A second derivative by a difference of gradients is that of
/// one linear piece only if both gradients are: if the choices are those of one forward.
enum class Choices {
    free,      ///< by the input
    remember,  ///< likewise, and remembers them
    repeat,    ///< those that were remembered, whatever the input is now
};

/// What a layer may know of the step it works in. Layers see one slice at a time.
struct StepContext {
    bool training = false;
    std::uint64_t seed = 0;
    index_t step = 0;
    Tiling tiling;               ///< of the slice; a network gives each layer its width
    index_t first_sample = 0;    ///< position in the global batch of the slice's first sample
    index_t first_tile = 0;      ///< tiles of the rank's slices before this one: for what a layer remembers
    index_t global_samples = 0;  ///< samples of the global batch over all ranks; > 0
    Choices choices = Choices::free;

    // For a layer with batch_sums, in forward and backward.
    std::span<const double> own_sums;     ///< over this slice; backward
    std::span<const double> global_sums;  ///< over the global batch
};

/// Numbers that are not trained but belong to the model: the running mean of batch-norm. Saved in checkpoints.
struct Statistic {
    std::string name;  ///< "running_mean"
    std::vector<real> values;
};

/// Scratch memory, shared by all layers of a network: holds nothing between two calls. Each layer says how much it
/// needs.
using Workspace = std::span<real>;

/// Where the outputs of layers are shared out: by the layer's name the first output of each shard, then the number of
/// all: fewer than configured if units were removed. Layers without an entry are cut in even blocks.
using Partition = std::map<std::string, std::vector<index_t>>;

/// Of the ranks that share one copy of the model, the part that this one holds: of each layer the weights of a block of
/// its outputs, or of a block of its inputs.
struct ModelShard {
    index_t number = 0;
    index_t count = 1;
    Partition cuts = {};
    bool allow_row_parallel = true;  ///< no: each layer is cut by its outputs
};

/// The channels of an activation that a shard holds; the features of a vector are channels.
struct ChannelBlock {
    index_t first = 0;
    index_t total = 0;                  ///< of all shards; 0: as many as there are here
    std::vector<index_t> offsets = {};  ///< the first of each shard, and the total; empty: every shard has all
    index_t configured = 0;             ///< the total before units were removed from the network; 0: none were
    index_t before_removals() const { return configured > 0 ? configured : total; }

    Block of(index_t shard) const {
        const auto number = static_cast<std::size_t>(shard);
        return {offsets[number], offsets[number + 1] - offsets[number]};
    }
};

/// Where a layer stands in its network.
struct LayerPlace {
    std::string name;            ///< unique: "conv2d1"
    std::uint32_t number;        ///< from 0; the stream of its random numbers
    Shape input;                 ///< of this shard
    ChannelBlock channels = {};  ///< of the input
    ModelShard shard = {};
};

/// How a layer with weights is cut. Where it gets all inputs it computes this shard's outputs. Where it gets this
/// shard's inputs it computes terms of all outputs; their sums over the shards are then shared out.
struct OutputShare {
    Block own;                ///< outputs that this shard holds in the end, and their bias
    Block computed;           ///< outputs of the layer here: the same, or all
    ChannelBlock outputs;     ///< of the layer here
    ChannelBlock shared_out;  ///< what the sums of terms become; empty: there are none
};
/// @param outputs  units or channels of the layer
/// @throws InputError if there are fewer than shards
OutputShare share_outputs(const LayerPlace& place, index_t outputs);

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
    /// Its outputs are terms: those of the model are the sums over all shards.
    bool computes_partial_sums() const { return shared_out_.total > 0; }

    virtual std::string describe() const = 0;  ///< "conv2d 3x3, 32 channels, padding 1"
    virtual std::vector<Parameter*> parameters() { return {}; }
    virtual std::vector<Statistic*> statistics() { return {}; }
    /// The weight of a layer that can execute it dense or sparse.
    virtual WeightMatrix* weight_matrix() { return nullptr; }
    /// What batch-norm multiplies each channel with; null in other layers.
    virtual const Parameter* channel_scale() const { return nullptr; }

    virtual InPlace in_place() const = 0;

    /// What channels become in evaluation that are constant, over all samples and pixels. @param inputs  of this shard,
    /// as many as there are input channels @return as many as there are output channels; nothing if that is unknown:
    /// then no channel is removed through this layer
    virtual std::optional<std::vector<double>> of_constants(std::vector<double> inputs) const = 0;
    /// A layer with weights: a constant input channel adds one value to all pixels of an output. Not where windows
    /// reach over the border.
    virtual bool adds_constants() const { return false; }
    /// Changes a bias, or what stands for one, as if the constants were added: for a layer with weights to its outputs,
    /// for others to its inputs. @param constants  for each of `own_channels` @return no: there is none
    virtual bool take_constants(std::span<const double> /*constants*/) { return false; }

    /// The layer before is a relu. A layer that can do its work on the way does so from now on and says yes: then
    /// neither direction of that relu is called. The largest of a window commutes with it.
    virtual bool fuse_relu() { return false; }

    /// Numbers of scratch that forward or backward need at this tile width.
    virtual index_t workspace_size(index_t /*tile_width*/) const { return 0; }
    /// Multiply-adds of the kept weights in the forward of so many samples; each of the two products of backward has as
    /// many. 0: its work is no matrix product. For --profile.
    virtual double multiply_adds(index_t /*samples*/) const { return 0; }
    /// What a layer exchanges between the shards of the model, in numbers of all shards. For --check.
    struct Exchanged {
        index_t forward = 0, backward = 0;
    };
    virtual Exchanged exchanged(const Tiling&) const { return {}; }
    /// Bytes that the layer holds itself for up to this many samples (a pooling's choices), for --check.
    virtual std::size_t held_bytes(const Tiling&) const { return 0; }

    /// Numbers of which forward and backward each need the sum over the global batch before they can begin: the
    /// statistics of batch-norm.
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
