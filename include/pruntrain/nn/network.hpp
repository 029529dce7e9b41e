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

    /// Allocates activations for this tiling and any smaller one of the same width. Called by forward as needed.
    void reserve(const Tiling& largest);
    /// Activations, gradients of activations and scratch for this tiling, in bytes.
    std::size_t activation_bytes(const Tiling& tiling) const;

    /// Where the caller puts a batch: (tile, input feature, sample). Valid after `reserve`.
    real* input() { return activations_.front().data(); }

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
    Shape input_;
    std::vector<std::unique_ptr<Layer>> layers_;
    std::vector<Parameter*> parameters_;
    std::vector<std::size_t> activation_of_;  ///< for each layer the activation that it writes; 0 is the input
    std::size_t first_trained_ = 0;           ///< the first layer that has parameters
    std::unique_ptr<Arena> arena_;
    std::vector<AlignedVector<real>> activations_;
    std::array<AlignedVector<real>, 2> gradients_;  ///< of activations, taken in turn
    std::size_t current_gradient_ = 0;
    AlignedVector<real> workspace_;
};

}  // namespace pruntrain
