#include "pruntrain/model/network.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/random.hpp"
#include "pruntrain/config/choose.hpp"
#include "pruntrain/math/elementwise.hpp"

namespace pruntrain {

/// Adds layers from first to last and determines which arrays they share.
class Network::Builder {
   public:
    explicit Builder(Network& network) : network_(network), shape_(network.input_), channels_{0, shape_.channels} {}

    const Shape& shape() const { return shape_; }
    const ChannelBlock& channels() const { return channels_; }
    bool whole() const { return channels_.total == shape_.channels; }
    /// Elements per sample over all shards, before physical compaction: exchanged sizes do not change with compaction.
    index_t numbers() const { return channels_.before_removals() * shape_.pixels(); }

    void add(std::unique_ptr<Layer> layer, bool is_relu) {
        const std::size_t number = network_.layers_.size();
        if (!flat_ && (shape_.flat() || (layer->in_place() == InPlace::view && layer->output_shape().flat()))) {
            flat_ = true;
            network_.first_flat_ = number;
            if (number > 0) ++activations_;
        }
        if (after_relu_ && layer->fuse_relu()) network_.fused_.back() = true;
        network_.fused_.push_back(false);
        shape_ = layer->output_shape();
        channels_ = layer->output_channels();
        network_.input_of_.push_back(activations_ - 1);
        const bool is_input = activations_ == 1;  // the caller owns it
        if (layer->in_place() == InPlace::never || (is_input && layer->in_place() == InPlace::overwrites))
            ++activations_;
        after_relu_ = is_relu && !is_input;
        network_.activation_of_.push_back(activations_ - 1);
        network_.layers_.push_back(std::move(layer));
    }

    void finish() {
        if (!flat_) network_.first_flat_ = network_.layers_.size();
        network_.activations_.resize(activations_);
    }

   private:
    Network& network_;
    Shape shape_;
    ChannelBlock channels_;
    std::size_t activations_ = 1;
    bool flat_ = false, after_relu_ = false;
};

namespace {

constexpr const char* layer_meaning = "type of the layer";

GraphNode::ValueShape shape_over_shards(const ChannelBlock& channels, const Shape& shape) {
    return {{channels.total, shape.rows, shape.columns}, {channels.before_removals(), shape.rows, shape.columns}};
}

/// The node of a layer whose keys have been read. @param before  the node whose output it reads; null: the first
GraphNode make_node(const Config& entry, const std::string& type, const Layer& layer, const Shape& network_input,
                    const GraphNode* before) {
    GraphNode node{layer.name(), type, {}, {}, {}, shape_over_shards(layer.output_channels(), layer.output_shape())};
    node.inputs.push_back(before ? before->name : graph_input);
    node.input_shapes.push_back(before ? before->output_shape : GraphNode::ValueShape{network_input, network_input});
    for (auto& key : entry.resolved_keys())
        if (key.name != "layer" && key.name != "name") node.keys.push_back(std::move(key));
    return node;
}

}  // namespace

Network::Network(const std::vector<Config>& model, const Shape& input, const ModelShard& shard,
                 const MakeExchange& exchange, bool allocate, bool outputs_prunable)
    : input_(input) {
    std::map<std::string, int> counts;
    std::set<std::string> names;
    Builder builder(*this);
    auto entry_number = static_cast<std::uint32_t>(0);
    int exchanges = 0;
    std::optional<ChannelBlock> sums;  // the channels that the partial sums of the last layer become
    std::vector<std::string> types;
    std::size_t last_weights = 0;  // entry of the last layer with weights
    for (const auto& entry : model) {
        types.push_back(entry.choice("layer", std::nullopt, layers().names(), layer_meaning));
        if (layers().find(types.back()).mixing == Mixing::linear) last_weights = types.size() - 1;
    }
    const auto make_whole = [&](bool last) {
        const auto number = static_cast<std::uint32_t>(model.size());  // an exchange draws no random numbers
        const LayerPlace place{text("exchange", ++exchanges), number, builder.shape(),
                               sums.value_or(builder.channels()), shard};
        builder.add(exchange(place, sums ? Exchange::sum : Exchange::gather, last), false);
        sums.reset();
    };
    for (const auto& entry : model) {
        const std::string& type = types[entry_number];
        const std::string name = entry.word("name", text(type, ++counts[type]), "layer name in tables and files");
        constexpr std::size_t longest = 200;  // an HDF5 link may have some 60,000 bytes, a table row far fewer
        if (name.empty() || name.size() > longest || name.find_first_of("/. ") != std::string::npos)
            input_error(entry.place_of("name"), " is '", name, "': a name must have no slash, dot or space, and 1 to ",
                        longest, " bytes");
        if (!names.insert(name).second) input_error("two layers of the model are named '", name, "'");
        if (sums) make_whole(false);
        const LayerFactory& factory = layers().find(type);
        const auto make = [&] {
            const bool is_last = entry_number == last_weights;
            return factory(
                entry, {name, entry_number, builder.shape(), builder.channels(), shard, outputs_prunable || !is_last});
        };
        std::unique_ptr<Layer> layer;
        if (factory.mixing == Mixing::nonlinear && !builder.whole()) make_whole(false);
        if (factory.mixing != Mixing::linear || builder.whole() || shard.allow_row_parallel) layer = make();
        if (factory.mixing == Mixing::linear && !builder.whole()) {
            const index_t outputs =
                layer ? layer->own_channels().before_removals() * layer->output_shape().pixels() : 0;
            if (layer && outputs < builder.numbers()) {
                sums = layer->own_channels();
            } else {
                make_whole(false);
                layer = make();
            }
        }
        ++entry_number;
        graph_.push_back(make_node(entry, type, *layer, input_, graph_.empty() ? nullptr : &graph_.back()));
        builder.add(std::move(layer), type == "relu");
    }
    if (layers_.empty()) input_error("the model has no layers");
    if (sums || !builder.whole()) make_whole(true);
    builder.finish();

    weight_number_t number = 0;
    for (const auto& layer : layers_) {
        first_parameter_.push_back(parameters_.size());
        for (auto* parameter : layer->parameters()) {
            parameter->layer = layer->name();
            parameter->first_number = number;
            parameter->full_shape = parameter->tensor_shape;
            number += static_cast<weight_number_t>(parameter->tensor_size());
            parameters_.push_back(parameter);
        }
    }
    if (parameters_.empty()) input_error("the model has no layer with weights to train: add a dense or conv2d layer");
    while (layers_[first_trained_]->parameters().empty()) ++first_trained_;
    arena_ = std::make_unique<Arena>(parameters_, allocate);
}

void Network::describe(const Config& entry) {
    entry.choice("layer", std::nullopt, layers().names(), layer_meaning);
    entry.word("name", "TYPE1", "layer name in tables and files");
    describe_members(layers(), entry, "layer", LayerPlace{"name", 0, {}});
}

std::vector<std::size_t> Network::layers_with_weights() const {
    std::vector<std::size_t> numbers;
    for (std::size_t i = 0; i < layers_.size(); ++i)
        if (layers_[i]->weight_matrix() != nullptr) numbers.push_back(i);
    return numbers;
}

std::vector<std::pair<Layer*, Statistic*>> Network::statistics() {
    std::vector<std::pair<Layer*, Statistic*>> all;
    for (const auto& layer : layers_)
        for (auto* statistic : layer->statistics()) all.emplace_back(layer.get(), statistic);
    return all;
}

void Network::initialize(std::uint64_t seed, std::uint32_t draw) {
    const RandomStream random(seed, Purpose::initial_weight, draw);
    for (auto* parameter : parameters_) {
        const auto fan_in = static_cast<double>(parameter->fan_in), fan_out = static_cast<double>(parameter->fan_out);
        const auto normal = [&](weight_number_t n, double deviation) { return deviation * random.normal(n); };
        const auto uniform = [&](weight_number_t n, double limit) { return limit * (2 * random.uniform(n) - 1); };
        parameter->for_each_number([&](index_t k, weight_number_t n) {
            double value = 0;
            switch (parameter->initializer) {
                case Initializer::zeros:
                    value = 0;
                    break;
                case Initializer::ones:
                    value = 1;
                    break;
                case Initializer::he_normal:
                    value = normal(n, std::sqrt(2 / fan_in));
                    break;
                case Initializer::he_uniform:
                    value = uniform(n, std::sqrt(6 / fan_in));
                    break;
                case Initializer::glorot_normal:
                    value = normal(n, std::sqrt(2 / (fan_in + fan_out)));
                    break;
                case Initializer::glorot_uniform:
                    value = uniform(n, std::sqrt(6 / (fan_in + fan_out)));
                    break;
            }
            parameter->value[k] = static_cast<real>(value);
        });
    }
}

void Network::set_tile_widths(const TileWidths& widths) { widths_ = widths; }

StepContext Network::step_of(const StepContext& step, std::size_t layer) const {
    StepContext own = step;
    own.tiling = tiling(layer, step.tiling.samples);
    return own;
}

StepContext Network::step_of(const NetworkStep& step, std::size_t layer, std::size_t slice) const {
    StepContext own = step_of(step, layer);
    if (step.slices.empty()) return own;
    own.tiling.samples = step.slices[slice].samples;
    own.first_sample = step.slices[slice].first;
    own.first_tile = static_cast<index_t>(slice) * tiling(layer, slice_samples_).tiles();
    return own;
}

index_t Network::gradient_size(index_t samples) const {
    index_t largest = 0;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        const Tiling own = tiling(i, samples);
        largest = std::max(
            {largest, own.size(layers_[i]->input_shape().size()), own.size(layers_[i]->output_shape().size())});
    }
    return largest;
}

index_t Network::workspace_size() const {
    index_t size = 0;
    for (std::size_t i = 0; i < layers_.size(); ++i)
        size = std::max(size, layers_[i]->workspace_size(tiling(i, 0).width));
    return size;
}

void Network::reserve(index_t samples, index_t slices) {
    const auto grow = [](AlignedVector<real>& array, index_t size) {
        if (static_cast<index_t>(array.size()) < size) array.resize(size);
    };
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        const Tiling own = tiling(i, samples);
        if (input_of_[i] > 0) grow(activations_[input_of_[i]], slices * own.size(layers_[i]->input_shape().size()));
        if (activation_of_[i] > 0)
            grow(activations_[activation_of_[i]], slices * own.size(layers_[i]->output_shape().size()));
    }
    for (auto& gradient : gradients_) grow(gradient, slices * gradient_size(samples));
    grow(workspace_, workspace_size());
    slice_samples_ = samples;
    slices_ = slices;
}

real* Network::input(index_t slice) {
    AlignedVector<real>& array = activations_.front();
    const std::size_t size = slices_ * input_tiling(slice_samples_).size(input_.size());
    if (array.size() < size) array.resize(size);
    return place(array, 0, input_.size(), slice);
}

std::size_t Network::activation_bytes(index_t samples, index_t slices) const {
    index_t numbers = input_tiling(samples).size(input_.size());
    std::size_t held = 0;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        const Tiling own = tiling(i, samples);
        if (retiles(i)) numbers += own.size(layers_[i]->input_shape().size());
        if (!in_place(i)) numbers += own.size(layers_[i]->output_shape().size());
        held += layers_[i]->held_bytes({slices * own.tiles() * own.width, own.width});
    }
    return static_cast<std::size_t>(slices * (numbers + 2 * gradient_size(samples)) + workspace_size()) * sizeof(real) +
           held;
}

const real* Network::forward(const StepContext& step) {
    reserve(step.tiling.samples);
    forward(NetworkStep{step, {}, {}, {}});
    return output();
}

void Network::forward(const NetworkStep& step) {
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) forward(step, layer);
}

void Network::backward(const NetworkStep& step) {
    for (std::size_t layer = layers_.size(); layer-- > 0;) backward(step, layer);
}

template <class Set>
void Network::sum_over_batch(const NetworkStep& step, std::size_t number, Set set) {
    const std::size_t numbers = layers_[number]->batch_sums();
    const std::size_t slices = step.slice_count();
    batch_sums_.resize((slices + 1) * numbers);
    const std::span<double> rows(batch_sums_);
    for (std::size_t slice = 0; slice < slices; ++slice)
        set(static_cast<index_t>(slice), rows.subspan(slice * numbers, numbers));
    const auto own = rows.first(slices * numbers), totals = rows.last(numbers);
    if (step.sum_over_slices) step.sum_over_slices(own, totals);
    else std::copy_n(own.begin(), numbers, totals.begin());
}

void Network::forward(const NetworkStep& step, std::size_t number) {
    Layer& layer = *layers_[number];
    const index_t slices = step.slice_count();
    const auto step_of_slice = [&](index_t slice) { return step_of(step, number, static_cast<std::size_t>(slice)); };
    const auto x = [&](index_t slice) { return input_of(step, number, slice); };
    if (retiles(number))
        for (index_t slice = 0; slice < slices; ++slice) {
            const Tiling own = step_of_slice(slice).tiling;
            retile(layer.input_shape().size(), tiling(number - 1, own.samples), output_of(step, number - 1, slice),
                   own.width, x(slice));
        }
    if (fused_[number]) return;
    if (step.training && layer.batch_sums() > 0) {
        sum_over_batch(step, number, [&](index_t slice, std::span<double> sums) {
            layer.forward_sums(step_of_slice(slice), x(slice), sums);
        });
        layer.take_forward_sums(step, std::span(batch_sums_).last(layer.batch_sums()));
    }
    for (index_t slice = 0; slice < slices; ++slice)
        layer.forward(step_of_slice(slice), x(slice), output_of(step, number, slice), workspace_);
}

void Network::backward(const NetworkStep& step, std::size_t number) {
    if (number < first_trained_) return;
    Layer& layer = *layers_[number];
    if (number + 1 == layers_.size()) current_gradient_ = 0;
    AlignedVector<real>& dy = gradients_[current_gradient_];
    if (!in_place(number)) current_gradient_ = 1 - current_gradient_;
    const Backward backward{step, number, dy, needs_input_gradient(number) ? &gradients_[current_gradient_] : nullptr};
    if (!fused_[number]) {
        if (layer.batch_sums() > 0) {
            const index_t outputs = layer.output_shape().size();
            sum_over_batch(step, number, [&](index_t slice, std::span<double> sums) {
                layer.backward_sums(step_of(step, number, static_cast<std::size_t>(slice)),
                                    input_of(step, number, slice), place(dy, number, outputs, slice), sums);
            });
        }
        if (step.terms.empty()) backward_slice(backward, 0, arena_->gradients().data() + first_gradient(number));
        for (const auto& term : step.terms)
            backward_node(backward, term.node, term.gradients + first_gradient(number), 0);
    }
    if (retiles(number) && backward.dx != nullptr) {
        current_gradient_ = 1 - current_gradient_;
        for (std::size_t slice = 0; slice < step.slice_count(); ++slice) {
            const Tiling own = step_of(step, number, slice).tiling;
            const index_t inputs = layer.input_shape().size();
            retile(inputs, own, place(*backward.dx, number, inputs, static_cast<index_t>(slice)),
                   tiling(number - 1, own.samples).width,
                   place(gradients_[current_gradient_], number - 1, inputs, static_cast<index_t>(slice)));
        }
    }
}

void Network::backward_node(const Backward& backward, const TreeNode& node, real* gradients, std::size_t depth) {
    const index_t begin = first_gradient(backward.layer);
    if (node.size == 1) {
        backward_slice(backward, node.first - backward.step.terms.front().node.first, gradients);
        return;
    }
    const std::size_t size = finished(backward.layer) - begin;
    if (tree_scratch_.size() <= depth) tree_scratch_.resize(depth + 1);
    if (tree_scratch_[depth].size() < size) tree_scratch_[depth].resize(size);
    backward_node(backward, node.left(), gradients, depth);
    backward_node(backward, node.right(), tree_scratch_[depth].data(), depth + 1);
    add(std::span(tree_scratch_[depth]).first(size), gradients);
}

void Network::backward_slice(const Backward& backward, index_t slice, real* gradients) {
    const auto& [step, number, dy, dx] = backward;
    Layer& layer = *layers_[number];
    StepContext own = step_of(step, number, static_cast<std::size_t>(slice));
    const index_t inputs = layer.input_shape().size(), outputs = layer.output_shape().size();
    if (const std::size_t numbers = layer.batch_sums(); numbers > 0) {
        own.own_sums = std::span(batch_sums_).subspan(static_cast<std::size_t>(slice) * numbers, numbers);
        own.global_sums = std::span(batch_sums_).last(numbers);
    }
    std::vector<std::span<real>> places;
    for (std::size_t i = 0; i < layer.parameters().size(); ++i) {
        const std::size_t parameter = first_parameter_[number] + i;
        places.emplace_back(gradients + arena_->offset(parameter) - first_gradient(number),
                            parameters_[parameter]->value.size());
    }
    layer.backward(own, input_of(step, number, slice), output_of(step, number, slice),
                   place(dy, number, outputs, slice), dx == nullptr ? nullptr : place(*dx, number, inputs, slice),
                   places, workspace_);
}

void Network::dry_run_layer(const StepContext& step, std::size_t number) {
    reserve(step.tiling.samples);
    Layer& layer = *layers_[number];
    const StepContext own = step_of(step, number);
    const auto array = [&](std::size_t activation) {
        return activation == 0 ? input() : activations_[activation].data();
    };
    real* const x = array(input_of_[number]);
    real* const y = array(activation_of_[number]);
    std::vector<std::span<real>> places;
    for (auto* parameter : layer.parameters()) places.push_back(parameter->gradient);
    layer.forward(own, x, y, workspace_);
    layer.backward(own, x, y, gradients_[0].data(),
                   needs_input_gradient(number) ? gradients_[in_place(number) ? 0 : 1].data() : nullptr, places,
                   workspace_);
}

index_t Network::finished(std::size_t number) const {
    index_t end = 0;
    for (std::size_t i = number; i < layers_.size(); ++i)
        for (const auto* parameter : layers_[i]->parameters()) end += parameter->pattern.kept();
    return end;
}

}  // namespace pruntrain
