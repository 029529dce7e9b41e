// What stands where in a checkpoint, for its reader and its writer.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pruntrain/io/sealed_file.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/run/checkpoint.hpp"

namespace pruntrain {

inline constexpr const char* full_shape_name = "full_shape";
inline constexpr const char* class_names_path = "class_names";  ///< a text, a line for each name
inline constexpr const char* classes_name = "classes";          ///< of /data, if there are names: how many
inline constexpr const char* input_names_path = "input_names";  ///< likewise
inline constexpr const char* inputs_name = "inputs";
inline constexpr FileKind checkpoint_kind{"pruntrain checkpoint", 3};

/// Calls `use(name, field)` for every field of the state: its attribute at the root. The binding names all fields, so
/// that a new one does not compile until it is stored. Names of classes and inputs are no attributes, which have no
/// checksum.
template <class State, class Use>
void each_field(State& state, Use&& use) {
    auto& [step, step_offset, epoch, seconds, loss_sum, loss_samples, train_seconds, best_score, best_step, seed, ranks,
           grid, partition, pattern_hash, weights_hash, execution, sparsity, validation_accuracy, rate_factor,
           class_names, input_names] = state;
    use("step", step);
    use("step_offset", step_offset);
    use("epoch", epoch);
    use("seconds", seconds);
    use("loss_sum", loss_sum);
    use("loss_samples", loss_samples);
    use("train_seconds", train_seconds);
    use("best_score", best_score);
    use("best_step", best_step);
    use("seed", seed);
    use("ranks", ranks);
    use("grid", grid);
    use("shard_cuts", partition);
    use("pattern_hash", pattern_hash);
    use("weights_hash", weights_hash);
    use("execution", execution);
    use("sparsity", sparsity);
    use("validation_accuracy", validation_accuracy);
    use("rate_factor", rate_factor);
    static_cast<void>(class_names);
    static_cast<void>(input_names);
}

/// A tensor of the model on this shard: rows and columns, from these on, of a whole of this shape.
struct TensorPart {
    std::string layer, name;
    std::vector<index_t> tensor_shape, full_shape;
    index_t first_row, first_column;
    const Pattern& pattern;
    std::span<real> values;
    bool is_statistic = false;

    index_t columns() const { return size_of(tensor_shape) / tensor_shape[0]; }  ///< of the whole
};

/// Calls `use(part)` for every parameter and statistic, in model order.
template <class Use>
void each_tensor(Network& network, Use&& use) {
    for (std::size_t i = 0; i < network.layer_count(); ++i) {
        Layer& layer = network.layer(i);
        for (const auto* parameter : layer.parameters())
            use(TensorPart{layer.name(), parameter->name, parameter->tensor_shape, parameter->full_shape,
                           parameter->first_row, parameter->first_column, parameter->pattern, parameter->value});
        for (auto* statistic : layer.statistics()) {
            const Pattern full(static_cast<index_t>(statistic->values.size()), 1);
            const ChannelBlock& channels = layer.own_channels();
            use(TensorPart{layer.name(),
                           statistic->name,
                           {channels.total},
                           {channels.total},
                           channels.first,
                           0,
                           full,
                           statistic->values,
                           true});
        }
    }
}

/// The model's graph as JSON, a line for each node: see docs/checkpoint_format.md.
std::string graph_text(const Network& network);

/// Whether a text of a file is such a graph. The types of nodes and their keys are not looked at: who builds a layer of
/// them knows them.
/// @param layers  those that have tensors in the file
/// @throws std::runtime_error that names the node and what is wrong with it
void check_graph(const std::string& graph, const std::vector<std::string>& layers);

inline std::string model_path(const std::string& layer, const std::string& name) {
    return "model/" + layer + "/" + name;
}

inline std::string slot_path(const std::string& slot, const std::string& layer, const std::string& name) {
    return "optimizer/" + slot + "/" + layer + "/" + name;
}

}  // namespace pruntrain
