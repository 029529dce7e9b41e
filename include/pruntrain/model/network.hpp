// A chain of layers with their parameters, activations and scratch memory.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/sum_tree.hpp"
#include "pruntrain/model/arena.hpp"
#include "pruntrain/model/layer.hpp"

namespace pruntrain {

/// A step of the network on the slices of this rank. Without slices there is one, described by the context itself.
struct NetworkStep : StepContext {
    std::vector<Slice> slices;
    std::size_t slice_count() const { return slices.empty() ? 1 : slices.size(); }

    /// The destination of the gradients of one node of the reduction tree over the slices.
    struct Term {
        TreeNode node;    ///< slices, numbered over the whole batch
        real* gradients;  ///< of the arena's size
    };
    /// The tree nodes that consist of this rank's slices. Empty: the only slice writes to the arena's gradients.
    std::vector<Term> terms;

    /// Sums rows of values, one row a slice of this rank, over all slices of all ranks. Collective.
    std::function<void(std::span<const double> rows, std::span<double> totals)> sum_over_slices;
};

/// A node of the model's graph: an entry of the configuration's list. Layers that exchange values between the shards of
/// a model are no nodes, and shapes are those of all shards: a graph does not depend on the grid.
struct GraphNode {
    /// Of a value between nodes.
    struct ValueShape {
        Shape now;
        Shape configured;  ///< before units were removed from the network
    };

    std::string name;
    std::string type;
    std::vector<std::string> inputs;  ///< names of nodes before it; `graph_input` for the input of the network
    std::vector<ResolvedKey> keys;    ///< all keys of the entry with their values, but for `layer` and `name`
    std::vector<ValueShape> input_shapes;
    ValueShape output_shape;
};
inline constexpr const char* graph_input = "input";

// Large because it is both the description of a network and its executor; networks as graphs will separate the two.
class Network {
   public:
    /// What a layer that communicates between the shards of a model does.
    enum class Exchange {
        gather,  ///< all-gather: from the channels of this shard to all channels
        sum,     ///< reduce-scatter: from partial sums of all channels to the sums of place.channels
    };
    /// Makes such a layer. @param last  after the last layer of the model: every shard gets all outputs
    using MakeExchange = std::function<std::unique_ptr<Layer>(LayerPlace place, Exchange what, bool last)>;

    /// @param model     the list of layers, each {layer: TYPE, ...}
    /// A layer that needs the channels of all shards exchanges its narrower side: its inputs before it
    /// (column-parallel), or, if it has fewer outputs, partial sums of its outputs after it (row-parallel).
    /// @param shard     the part of the layers' outputs that this network holds
    /// @param exchange  for more than one shard
    /// @param allocate  false: the arena has no values before its `reset`
    /// @param outputs_prunable  default of the key `prunable` of the last layer with weights
    /// @throws InputError if a layer does not fit the one before it
    Network(const std::vector<Config>& model, const Shape& input, const ModelShard& shard = {},
            const MakeExchange& exchange = {}, bool allocate = true, bool outputs_prunable = true);

    /// Reads all keys that an entry of the model list can have, for --describe.
    static void describe(const Config& entry);

    const Shape& input_shape() const { return input_; }
    index_t outputs() const { return layers_.back()->output_shape().size(); }

    /// In topological order; the last node has the outputs of the network.
    const std::vector<GraphNode>& graph() const { return graph_; }

    std::size_t layer_count() const { return layers_.size(); }
    Layer& layer(std::size_t number) { return *layers_[number]; }
    /// Indices of the layers with a weight matrix, in model order.
    std::vector<std::size_t> layers_with_weights() const;

    /// The scale of a batch-norm directly after a layer, over the same channels; null if there is none.
    const Parameter* scale_behind(std::size_t layer) const {
        layer += layers_[layer]->computes_partial_sums() ? 2 : 1;  // after the layer that sums them
        return layer < layers_.size() ? layers_[layer]->channel_scale() : nullptr;
    }

    /// In model order: first layer first.
    const std::vector<Parameter*>& parameters() const { return parameters_; }
    std::vector<std::pair<Layer*, Statistic*>> statistics();
    Arena& arena() { return *arena_; }
    const Arena& arena() const { return *arena_; }

    /// Sets all parameters to initial values: a pure function of seed, draw and weight index.
    /// @param draw  0: the values at the start of a run
    void initialize(std::uint64_t seed, std::uint32_t draw = 0);

    /// Tile widths of all later calls. Layers on images and layers on flat vectors may have different widths; the
    /// network converts where they meet.
    void set_tile_widths(const TileWidths& widths);
    Tiling tiling(std::size_t layer, index_t samples) const {
        return {samples, layer < first_flat_ ? widths_.image : widths_.flat};
    }
    Tiling input_tiling(index_t samples) const { return tiling(0, samples); }
    Tiling output_tiling(index_t samples) const { return tiling(layers_.size() - 1, samples); }

    /// Allocates activations for this many slices of up to `samples` samples.
    void reserve(index_t samples, index_t slices = 1);
    /// Bytes of activations, their gradients and scratch memory.
    std::size_t activation_bytes(index_t samples, index_t slices = 1) const;

    /// The network's own input buffer of a slice, (tile, input feature, sample), for steps whose slices have no input
    /// of their own. Call after `reserve`; valid until the next one.
    real* input(index_t slice = 0);

    /// Forward of a batch of one slice. @return the outputs, (tile, output, sample), valid until the next forward
    /// @param step  the width of its tiling is ignored
    const real* forward(const StepContext& step);
    /// Forward of all layers; call `reserve` before.
    void forward(const NetworkStep& step);
    /// One layer's forward; call from the first layer to the last, after `reserve`.
    void forward(const NetworkStep& step, std::size_t layer);
    /// The output of the last layer's forward.
    real* output(index_t slice = 0) { return place(activations_.back(), layers_.size() - 1, outputs(), slice); }

    /// The output of a layer's forward, (tile, output feature, sample), until a later layer overwrites it in place.
    const real* activation(std::size_t layer, index_t slice) {
        return place(activations_[activation_of_[layer]], layer, layers_[layer]->output_shape().size(), slice);
    }

    /// Where the caller puts d loss / d outputs before `backward`.
    real* output_gradient(index_t slice = 0) { return place(gradients_[0], layers_.size() - 1, outputs(), slice); }
    /// Backward of all layers.
    void backward(const NetworkStep& step);
    /// One layer's backward; call from the last layer to the first.
    void backward(const NetworkStep& step, std::size_t layer);
    /// True if backward computes the gradient of this layer's input: a layer before it has parameters.
    bool needs_input_gradient(std::size_t layer) const { return layer > first_trained_; }
    /// The next layer does this one's work.
    bool is_fused(std::size_t layer) const { return fused_[layer]; }
    /// Forward and backward of one layer on whatever is in its arrays, to time them. Outputs and gradients are
    /// undefined until the next step.
    void dry_run_layer(const StepContext& step, std::size_t layer);
    /// Frees scratch memory; `reserve` allocates what layers need afterwards.
    void release_scratch() {
        workspace_ = {};
        activations_.front() = {};
    }

    /// The first `finished(layer)` elements of the arena's gradients are complete after `backward(layer)`.
    index_t finished(std::size_t layer) const;

   private:
    class Builder;

    /// The step as this layer sees it.
    StepContext step_of(const StepContext& step, std::size_t layer) const;
    StepContext step_of(const NetworkStep& step, std::size_t layer, std::size_t slice) const;
    /// The layer's output is in the array of its input.
    bool in_place(std::size_t layer) const { return activation_of_[layer] == input_of_[layer]; }
    /// An activation of a slice in this layer's tiling, with this many values a sample.
    real* activation(const NetworkStep& step, std::size_t number, std::size_t layer, index_t features, index_t slice) {
        const std::size_t s = slice;
        if (number == 0 && s < step.slices.size() && step.slices[s].input != nullptr) return step.slices[s].input;
        return place(activations_[number], layer, features, slice);
    }
    real* input_of(const NetworkStep& step, std::size_t layer, index_t slice) {
        return activation(step, input_of_[layer], layer, layers_[layer]->input_shape().size(), slice);
    }
    real* output_of(const NetworkStep& step, std::size_t layer, index_t slice) {
        return activation(step, activation_of_[layer], layer, layers_[layer]->output_shape().size(), slice);
    }
    /// Where a slice begins in an array of this layer's tiling with this many values a sample.
    real* place(AlignedVector<real>& array, std::size_t layer, index_t features, index_t slice) const {
        return array.data() + slice * tiling(layer, slice_samples_).size(features);
    }
    /// Sums over the batch what `set` sets for each slice. batch_sums_ holds the slices' sums, then the totals.
    template <class Set>
    void sum_over_batch(const NetworkStep& step, std::size_t layer, Set set);

    /// The arrays of one layer in backward.
    struct Backward {
        const NetworkStep& step;
        std::size_t layer;
        AlignedVector<real>& dy;
        AlignedVector<real>* dx;  ///< null: not needed
    };
    /// Where the gradients of a layer begin in the arena.
    index_t first_gradient(std::size_t layer) const { return layer + 1 < layers_.size() ? finished(layer + 1) : 0; }
    /// A layer's gradients of the slices of a node, added as the tree says. @param depth  scratch from here on is free
    void backward_node(const Backward& backward, const TreeNode& node, real* gradients, std::size_t depth);
    /// @param gradients  of the layer's parameters, as the arena has them
    void backward_slice(const Backward& backward, index_t slice, real* gradients);
    /// This layer's input comes from a layer with another width.
    bool retiles(std::size_t layer) const { return layer == first_flat_ && layer > 0; }
    /// The largest activation of a slice that a gradient can belong to.
    index_t gradient_size(index_t samples) const;
    /// Scratch of the layer that needs most.
    index_t workspace_size() const;

    Shape input_;
    std::vector<GraphNode> graph_;
    std::vector<std::unique_ptr<Layer>> layers_;
    std::vector<bool> fused_;
    std::vector<Parameter*> parameters_;
    std::vector<std::size_t> first_parameter_;  ///< of each layer, in parameters_
    std::vector<std::size_t> input_of_;  ///< for each layer the activation that it reads; 0 is the input, never written
    std::vector<std::size_t> activation_of_;  ///< and the one that it writes
    std::size_t first_flat_ = 0;              ///< the first layer on flat vectors; those before it see images
    TileWidths widths_;
    std::size_t first_trained_ = 0;  ///< the first layer that has parameters
    std::unique_ptr<Arena> arena_;
    std::vector<AlignedVector<real>> activations_;
    std::array<AlignedVector<real>, 2> gradients_;  ///< of activations, used alternately
    std::size_t current_gradient_ = 0;
    AlignedVector<real> workspace_;
    index_t slice_samples_ = 0, slices_ = 0;         ///< for which there is room
    std::vector<double> batch_sums_;                 ///< of one layer: of each slice, and their total
    std::vector<AlignedVector<real>> tree_scratch_;  ///< gradients of one layer while they are summed
};

}  // namespace pruntrain
