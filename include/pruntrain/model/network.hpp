// A chain of layers with their parameters, activations and scratch.
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

/// A step as the network sees it: of the slices of this rank, of which there is one if none is named.
struct NetworkStep : StepContext {
    std::vector<Slice> slices;
    std::size_t slice_count() const { return slices.empty() ? 1 : slices.size(); }

    /// Where the gradients of a node of the tree over the slices go.
    struct Term {
        TreeNode node;    ///< slices, counted among all slices of the batch
        real* gradients;  ///< of the arena's size
    };
    /// The nodes that this rank's slices make up. None: the arena's gradients for its only slice.
    std::vector<Term> terms;

    /// Sums rows of numbers, one for each slice of this rank, over all slices of all ranks. Every rank calls it alike.
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

class Network {
   public:
    /// What a layer between the shards of a model does.
    enum class Exchange {
        gather,  ///< from the channels of this shard to those of all
        sum,     ///< from terms of all channels to the sums of this shard's, place.channels
    };
    /// Makes such a layer. @param last  behind the last layer of the model: then every shard gets the outputs of all
    using MakeExchange = std::function<std::unique_ptr<Layer>(LayerPlace place, Exchange what, bool last)>;

    /// @param model     the list of layers, each {layer: TYPE, ...}
    /// @param shard     which part of the layers' outputs this network has
    /// Where a layer needs the channels of all shards, the narrower side of it is exchanged: its inputs before it, or,
    /// if it has fewer outputs, sums of its outputs behind it.
    /// @param exchange  for more than one shard
    /// @param allocate  no: the arena has no numbers before its `reset`
    /// @throws InputError if a layer does not fit the one before it
    Network(const std::vector<Config>& model, const Shape& input, const ModelShard& shard = {},
            const MakeExchange& exchange = {}, bool allocate = true);

    /// Reads all keys that an entry of the model list can have, for --describe.
    static void describe(const Config& entry);

    const Shape& input_shape() const { return input_; }
    index_t outputs() const { return layers_.back()->output_shape().size(); }

    /// In topological order; the last node has the outputs of the network.
    const std::vector<GraphNode>& graph() const { return graph_; }

    std::size_t layer_count() const { return layers_.size(); }
    Layer& layer(std::size_t number) { return *layers_[number]; }
    /// Numbers of the layers with a weight matrix, from the first on.
    std::vector<std::size_t> layers_with_weights() const;

    /// The scale of a batch-norm right behind a layer, of the same channels; null: none stands there.
    const Parameter* scale_behind(std::size_t layer) const {
        layer += layers_[layer]->computes_partial_sums() ? 2 : 1;  // behind the sums of terms
        return layer < layers_.size() ? layers_[layer]->channel_scale() : nullptr;
    }

    /// In model order: first layer first.
    const std::vector<Parameter*>& parameters() const { return parameters_; }
    std::vector<std::pair<Layer*, Statistic*>> statistics();
    Arena& arena() { return *arena_; }
    const Arena& arena() const { return *arena_; }

    /// First values of all parameters: a pure function of seed, draw and weight number.
    /// @param draw  0: those of a run's start
    void initialize(std::uint64_t seed, std::uint32_t draw = 0);

    /// How the samples lie in all that follows. Layers that see images may have another width than those that see flat
    /// vectors: where one follows the other the network moves the numbers.
    void set_tile_widths(const TileWidths& widths);
    Tiling tiling(std::size_t layer, index_t samples) const {
        return {samples, layer < first_flat_ ? widths_.image : widths_.flat};
    }
    Tiling input_tiling(index_t samples) const { return tiling(0, samples); }
    Tiling output_tiling(index_t samples) const { return tiling(layers_.size() - 1, samples); }

    /// Allocates activations for so many slices of up to so many samples. What follows has its slices in these places.
    void reserve(index_t samples, index_t slices = 1);
    /// Activations, gradients of activations and scratch for them, in bytes.
    std::size_t activation_bytes(index_t samples, index_t slices = 1) const;

    /// Where the caller puts the samples of a slice whose step names no other place: (tile, input feature, sample).
    /// Call after `reserve`; valid until the next one.
    real* input(index_t slice = 0);

    /// Forward of a batch of one slice: the outputs, (tile, output, sample), valid until the next forward.
    /// @param step  the width of its tiling does not count
    const real* forward(const StepContext& step);
    /// Forward of all layers; call `reserve` before.
    void forward(const NetworkStep& step);
    /// One layer's forward; call from the first layer to the last, after `reserve`.
    void forward(const NetworkStep& step, std::size_t layer);
    /// What the last layer's forward has set.
    real* output(index_t slice = 0) { return place(activations_.back(), layers_.size() - 1, outputs(), slice); }

    /// What a layer's forward has set, (tile, output feature, sample), until a layer behind it changes it in place.
    const real* activation(std::size_t layer, index_t slice) {
        return place(activations_[activation_of_[layer]], layer, layers_[layer]->output_shape().size(), slice);
    }

    /// Where the caller puts d loss / d outputs before `backward`.
    real* output_gradient(index_t slice = 0) { return place(gradients_[0], layers_.size() - 1, outputs(), slice); }
    /// Backward of all layers.
    void backward(const NetworkStep& step);
    /// One layer's backward; call from the last layer to the first.
    void backward(const NetworkStep& step, std::size_t layer);
    /// Backward computes the gradient of this layer's input: some layer before it is trained.
    bool needs_input_gradient(std::size_t layer) const { return layer > first_trained_; }
    /// The layer behind does this one's work.
    bool is_fused(std::size_t layer) const { return fused_[layer]; }
    /// Forward and backward of one layer on whatever stands in its arrays, to see how long they take. Outputs and
    /// gradients mean nothing until the next step.
    void dry_run_layer(const StepContext& step, std::size_t layer);
    /// Gives scratch memory back; `reserve` takes what layers then need.
    void release_scratch() {
        workspace_ = {};
        activations_.front() = {};
    }

    /// The first `finished(layer)` numbers of the arena's gradients are complete after `backward(layer)`.
    index_t finished(std::size_t layer) const;

   private:
    class Builder;

    /// The step as this layer sees it.
    StepContext step_of(const StepContext& step, std::size_t layer) const;
    StepContext step_of(const NetworkStep& step, std::size_t layer, std::size_t slice) const;
    /// The layer's output is in the array of its input.
    bool in_place(std::size_t layer) const { return activation_of_[layer] == input_of_[layer]; }
    /// An activation of a slice in this layer's tiling, with so many values a sample.
    real* activation(const NetworkStep& step, std::size_t number, std::size_t layer, index_t features, index_t slice) {
        const auto s = static_cast<std::size_t>(slice);
        if (number == 0 && s < step.slices.size() && step.slices[s].input != nullptr) return step.slices[s].input;
        return place(activations_[number], layer, features, slice);
    }
    real* input_of(const NetworkStep& step, std::size_t layer, index_t slice) {
        return activation(step, input_of_[layer], layer, layers_[layer]->input_shape().size(), slice);
    }
    real* output_of(const NetworkStep& step, std::size_t layer, index_t slice) {
        return activation(step, activation_of_[layer], layer, layers_[layer]->output_shape().size(), slice);
    }
    /// Where a slice begins in an array of this layer's tiling with so many numbers a sample.
    real* place(AlignedVector<real>& array, std::size_t layer, index_t features, index_t slice) const {
        return array.data() + slice * tiling(layer, slice_samples_).size(features);
    }
    /// Sums over the batch of what `set` sets for each slice, in batch_sums_ and its totals behind them.
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
    std::size_t first_flat_ = 0;              ///< from here on layers see flat vectors, before it images
    TileWidths widths_;
    std::size_t first_trained_ = 0;  ///< the first layer that has parameters
    std::unique_ptr<Arena> arena_;
    std::vector<AlignedVector<real>> activations_;
    std::array<AlignedVector<real>, 2> gradients_;  ///< of activations, taken in turn
    std::size_t current_gradient_ = 0;
    AlignedVector<real> workspace_;
    index_t slice_samples_ = 0, slices_ = 0;         ///< for which there is room
    std::vector<double> batch_sums_;                 ///< of one layer: of each slice, and their total
    std::vector<AlignedVector<real>> tree_scratch_;  ///< gradients of one layer, on the way to their sum
};

}  // namespace pruntrain
