// A chain of layers with their parameters, activations and scratch.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/nn/arena.hpp"
#include "pruntrain/nn/layer.hpp"

namespace pruntrain {

class Network {
   public:
    /// @param model  the list of layers, each {layer: TYPE, ...}
    /// @throws InputError if a layer does not fit the one before it
    Network(const std::vector<Config>& model, const Shape& input);

    /// Reads all keys that an entry of the model list can have, for --describe.
    static void describe(const Config& entry);

    const Shape& input_shape() const { return input_; }
    index_t outputs() const { return layers_.back()->output_shape().size(); }

    std::size_t layer_count() const { return layers_.size(); }
    Layer& layer(std::size_t number) { return *layers_[number]; }

    /// In model order: first layer first.
    const std::vector<Parameter*>& parameters() const { return parameters_; }
    std::vector<std::pair<Layer*, Statistic*>> statistics();
    Arena& arena() { return *arena_; }

    /// First values of all parameters: a pure function of seed and weight number.
    void initialize(std::uint64_t seed);

    /// How the samples lie in all that follows. Layers that see images may have another width than those that see flat
    /// vectors: where one follows the other the network moves the numbers.
    void set_tile_widths(const TileWidths& widths);
    Tiling input_tiling(index_t samples) const { return tiling(0, samples); }
    Tiling output_tiling(index_t samples) const { return tiling(layers_.size() - 1, samples); }

    /// Allocates activations for up to so many samples. Called by forward as needed.
    void reserve(index_t samples);
    /// Activations, gradients of activations and scratch for so many samples, in bytes.
    std::size_t activation_bytes(index_t samples) const;

    /// Where the caller puts a batch: (tile, input feature, sample). Valid after `reserve`.
    real* input() { return activations_.front().data(); }

    /// @param step  the width of its tiling does not count
    /// @return the outputs, (tile, output, sample), valid until the next forward
    const real* forward(const StepContext& step);
    /// One layer's forward; call from the first layer to the last, after `reserve`.
    void forward(const StepContext& step, std::size_t layer);
    /// What the last layer's forward has set.
    const real* output() const { return activations_.back().data(); }

    /// Where the caller puts d loss / d outputs before `backward`.
    real* output_gradient() { return gradients_[0].data(); }
    /// One layer's backward; call from the last layer to the first.
    void backward(const StepContext& step, std::size_t layer);
    /// Backward computes the gradient of this layer's input: some layer before it is trained.
    bool needs_input_gradient(std::size_t layer) const { return layer > first_trained_; }
    /// Forward and backward of one layer on whatever stands in its arrays, to see how long they take. Outputs and
    /// gradients mean nothing until the next step.
    void rehearse(const StepContext& step, std::size_t layer);
    /// Gives scratch memory back; `reserve` takes what layers then need.
    void release_scratch() { workspace_ = {}; }

    /// The first `finished(layer)` numbers of the arena's gradients are complete after `backward(layer)`.
    index_t finished(std::size_t layer) const;

   private:
    Tiling tiling(std::size_t layer, index_t samples) const {
        return {samples, layer < first_flat_ ? widths_.image : widths_.flat};
    }
    /// The step as this layer sees it.
    StepContext step_of(const StepContext& step, std::size_t layer) const;
    /// This layer's input comes from a layer with another width.
    bool retiles(std::size_t layer) const { return layer == first_flat_ && layer > 0; }
    /// The largest activation that a gradient can belong to.
    index_t gradient_size(index_t samples) const;
    /// Scratch of the layer that needs most.
    index_t workspace_size() const;

    Shape input_;
    std::vector<std::unique_ptr<Layer>> layers_;
    std::vector<bool> taken_over_;  ///< the layer behind does this one's work
    std::vector<Parameter*> parameters_;
    std::vector<std::size_t> input_of_;       ///< for each layer the activation that it reads; 0 is the input
    std::vector<std::size_t> activation_of_;  ///< and the one that it writes
    std::size_t first_flat_ = 0;              ///< from here on layers see flat vectors, before it images
    TileWidths widths_;
    std::size_t first_trained_ = 0;  ///< the first layer that has parameters
    std::unique_ptr<Arena> arena_;
    std::vector<AlignedVector<real>> activations_;
    std::array<AlignedVector<real>, 2> gradients_;  ///< of activations, taken in turn
    std::size_t current_gradient_ = 0;
    AlignedVector<real> workspace_;
};

}  // namespace pruntrain
