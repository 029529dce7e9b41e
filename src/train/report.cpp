#include "pruntrain/train/report.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/train/rank_memory.hpp"

namespace pruntrain {

namespace {

using Rows = std::vector<std::vector<std::string>>;

struct ParameterCount {
    index_t size = 0;
    index_t kept = 0;
};

ParameterCount count_parameters(const Network& network, std::span<const index_t> kept) {
    ParameterCount count;
    for (std::size_t i = 0; i < kept.size(); ++i) {
        count.size += network.parameters()[i]->full_size();
        count.kept += kept[i];
    }
    return count;
}

std::string density(index_t kept, index_t size) {
    return fixed(size == 0 ? 1 : static_cast<double>(kept) / static_cast<double>(size), 4);
}

/// "512x784 of 1024x784" where units were removed.
std::string shape_text(const std::vector<index_t>& shape, const std::vector<index_t>& full_shape) {
    return crossed(shape) + (shape == full_shape ? "" : " of " + crossed(full_shape));
}

std::string number_or_dash(double value, int digits) { return std::isnan(value) ? "-" : fixed(value, digits); }

}  // namespace

std::string table(const Rows& rows) {
    std::vector<std::size_t> widths(rows.front().size(), 0);
    for (const auto& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    std::string out;
    for (std::size_t r = 0; r < rows.size(); ++r) {
        std::string line;
        for (std::size_t i = 0; i < rows[r].size(); ++i) {
            // the heading follows its column
            const std::string& sample = rows.size() > 1 ? rows[std::max<std::size_t>(r, 1)][i] : rows[r][i];
            const bool number = !sample.empty() &&
                                (std::isdigit(static_cast<unsigned char>(sample[0])) || sample[0] == '-') &&
                                sample.find('x') == std::string::npos;
            const std::string padding(widths[i] - rows[r][i].size(), ' ');
            line += "  " + (number ? padding + rows[r][i] : rows[r][i] + padding);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    }
    return out;
}

std::string summary_json(const RunResult& result, const Network& network) {
    const auto known = [](double value) {
        return std::isnan(value) ? nlohmann::ordered_json() : nlohmann::ordered_json(value);
    };
    const ParameterCount all = count_parameters(network, result.kept);
    const PrunableCount prunable = count_prunable(network, result.kept);
    nlohmann::ordered_json json;
    json["test_accuracy"] = known(result.test.accuracy);
    json["test_loss"] = known(result.test.loss);
    json["test_samples"] = result.test.samples;
    json["validation_accuracy"] = known(result.state.validation_accuracy);
    json["sparsity"] = prunable.sparsity();
    json["kept"] = all.kept;
    json["parameters"] = all.size;
    json["prunable_kept"] = prunable.kept;
    json["prunable"] = prunable.size;
    json["wall_s"] = result.state.seconds;
    json["samples_per_s"] = result.samples_per_s;
    json["peak_mb"] = result.peak_mb;
    json["resident_mb"] = result.resident_mb;
    json["ranks"] = result.state.ranks;
    json["steps"] = result.state.step;
    json["epochs"] = result.state.epoch;
    json["seed"] = result.state.seed;
    json["pattern_hash"] = result.state.pattern_hash;
    json["weights_hash"] = result.state.weights_hash;
    json["checkpoint"] = result.checkpoint;
    json["best_checkpoint"] =
        result.best_checkpoint.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(result.best_checkpoint);
    for (const auto& row : result.profile) {
        auto& seconds = json["seconds"][name_of(row.phase)];
        seconds = seconds.is_null() ? row.seconds : seconds.get<double>() + row.seconds;  // all layers of a phase
    }
    for (std::size_t i = 0; i < result.kept.size(); ++i) {
        const Parameter& parameter = *network.parameters()[i];
        json["layers"].push_back({{"name", parameter.full_name()},
                                  {"shape", parameter.tensor_shape},
                                  {"full_shape", parameter.full_shape},
                                  {"kept", result.kept[i]},
                                  {"size", parameter.full_size()},
                                  {"prunable", parameter.prunable}});
    }
    return json.dump(2) + "\n";
}

std::string result_text(const RunResult& result, const Network& network, const std::string& folder) {
    Rows rows{{"tensor", "shape", "kept", "of", "density"}};
    for (std::size_t i = 0; i < result.kept.size(); ++i) {
        const Parameter& parameter = *network.parameters()[i];
        if (!parameter.prunable) continue;
        const index_t size = parameter.full_size();
        rows.push_back({parameter.full_name(), shape_text(parameter.tensor_shape, parameter.full_shape),
                        grouped(result.kept[i]), grouped(size), density(result.kept[i], size)});
    }
    const ParameterCount all = count_parameters(network, result.kept);
    const PrunableCount prunable = count_prunable(network, result.kept);
    std::ostringstream out;
    out << "\n"
        << table(rows) << "\n"
        << "  test_accuracy  " << number_or_dash(result.test.accuracy, 4) << "\n"
        << "  test_loss      " << number_or_dash(result.test.loss, 4) << "\n"
        << "  sparsity       " << exact(prunable.sparsity()) << "  (" << grouped(prunable.size - prunable.kept)
        << " of " << grouped(prunable.size) << " prunable weights removed)\n"
        << "  parameters     " << grouped(all.kept) << " kept of " << grouped(all.size) << "\n"
        << "  time           " << duration_text(result.state.seconds) << " on " << result.state.ranks
        << (result.state.ranks == 1 ? " rank, " : " ranks, ") << grouped(static_cast<index_t>(result.samples_per_s))
        << " samples/s while training\n"
        << "  checkpoint     " << result.checkpoint << "\n"
        << "  results        " << folder << "/summary.json, history.csv"
        << (result.profile.empty() ? "" : ", profile.csv");
    return out.str();
}

std::string check_text(Experiment& experiment) {
    Network& network = experiment.network;
    const index_t replicas = experiment.grid.replica_count();
    const index_t shards = experiment.grid.model_shards(), ranks = replicas * shards;
    Rows rows{{"layer", "what", "output", "parameters"}};
    for (std::size_t i = 0; i < network.layer_count(); ++i) {
        Layer& layer = network.layer(i);
        index_t parameters = 0;
        for (const auto* parameter : layer.parameters()) parameters += parameter->tensor_size();
        rows.push_back({layer.name(), layer.describe(), layer.output_shape().describe(), grouped(parameters)});
    }

    const auto slots = static_cast<index_t>(network.arena().slot_names().size());
    const PrunableCount prunable = count_prunable(network, tensor_sizes(network));
    const bool prunes = experiment.pruner && experiment.pruner->final_sparsity() > 0;
    const index_t removed = prunes ? removed_count(experiment.pruner->final_sparsity(), prunable.size) : 0;
    const PackedSizes all = packed_model(network);
    const RankMemory first = memory_of_rank(experiment, 0), last = memory_of_rank(experiment, removed);
    const auto file_arrays = static_cast<double>(1 + slots);
    const index_t samples = experiment.slice_samples(replicas);
    const bool ordered = experiment.settings.slices > 0;
    const index_t slices = experiment.slices_of_rank();
    const index_t image_width = network.input_tiling(samples).width, flat_width = network.output_tiling(samples).width;

    std::ostringstream out;
    out << "network\n"
        << table(rows) << "  input " << network.input_shape().describe() << ", " << grouped(all.size) << " parameters, "
        << grouped(prunable.size) << " of them prunable\n\n"
        << "data\n  " << grouped(experiment.dataset.samples(Split::train)) << " training, "
        << grouped(experiment.dataset.samples(Split::validation)) << " validation, "
        << grouped(experiment.dataset.samples(Split::test)) << " test samples, "
        << bytes_text(static_cast<double>(experiment.dataset.bytes_per_node()))
        << " a node (residency: " << experiment.dataset.residency() << ")\n\n"
        << "training\n  " << grouped(experiment.length.steps) << " steps, "
        << grouped(experiment.length.steps_per_epoch) << " an epoch; a global batch of "
        << experiment.settings.global_batch << " samples on " << ranks << (ranks == 1 ? " rank" : " ranks")
        << (shards == 1 ? ""
                        : text(", ", replicas, replicas == 1 ? " replica" : " replicas", " of ", shards, " shards"))
        << ": " << (ordered ? text(slices, slices == 1 ? " slice" : " slices", " of ") : "") << samples
        << " a rank at most, in tiles of " << (image_width == flat_width ? "" : text(image_width, " for images and "))
        << flat_width << "\n\n"
        << "pruning\n  " << (experiment.pruner ? experiment.pruner->describe() : "none");
    if (prunes)
        out << "\n  keeps " << (experiment.pruner->has_threshold() ? "at least " : "")
            << grouped(prunable.size - removed) << " of " << grouped(prunable.size) << " prunable weights in the end";
    out << "\n\nmemory of a rank\n  " << bytes_text(first.packed) << " for values, gradients, " << slots
        << " optimizer slots"
        << (experiment.settings.shard_optimizer && replicas > 1 ? text(" shared by ", replicas, " replicas") : "")
        << (prunes ? text("; ", bytes_text(last.packed), " in the end with indices") : "") << "\n  "
        << bytes_text(first.activations) << " for activations and scratch"
        << (prunes ? text("\n  ", bytes_text(last.unpacked),
                          " for weights that are unpacked while layers execute dense\n  ", bytes_text(last.plans),
                          " for plans when all execute sparse in the end\n  ", bytes_text(last.event),
                          " more at most while an event removes weights")
                   : "")
        << "\n  "
        << (experiment.settings.saves_beside ? bytes_text(all.bytes(0, file_arrays)) +
                                                   " more at most on rank 0, a copy, while a checkpoint is written"
                                             : bytes_text(static_cast<double>(all.largest) * sizeof(real)) +
                                                   " more on rank 0 while it writes a checkpoint, a tensor at a time")
        << "\n\ncheckpoint, before compression\n  " << bytes_text(all.bytes(0, file_arrays))
        << (prunes ? text("; ", bytes_text(all.bytes(removed, file_arrays)), " in the end") : "") << "\n";
    return out.str();
}

std::string inspect_text(const CheckpointSummary& summary, const std::string& file) {
    Rows rows{{"tensor", "shape", "kept", "of", "density", "stored", "bytes"}};
    index_t kept = 0, size = 0;
    for (const auto& tensor : summary.tensors) {
        rows.push_back({tensor.name, shape_text(tensor.shape, tensor.full_shape), grouped(tensor.kept),
                        grouped(tensor.full_size), density(tensor.kept, tensor.full_size),
                        tensor.sparse ? "sparse" : "dense", grouped(static_cast<index_t>(tensor.bytes))});
        kept += tensor.kept;
        size += tensor.full_size;
    }
    const RunState& state = summary.state;
    std::ostringstream out;
    out << file << ": " << bytes_text(static_cast<double>(summary.file_bytes)) << ", written by pruntrain "
        << summary.program_version << "\n\n"
        << table(rows) << "\n"
        << "  step                 " << state.step << " (epoch " << fixed(state.epoch, 2) << ")\n"
        << "  sparsity             " << exact(state.sparsity) << "\n"
        << "  numbers              " << grouped(kept) << " kept of " << grouped(size) << "\n"
        << "  validation accuracy  " << number_or_dash(state.validation_accuracy, 4) << "\n"
        << "  optimizer slots      " << (summary.slots.empty() ? "none" : join(summary.slots)) << "\n"
        << "  written on           " << state.ranks << (state.ranks == 1 ? " rank" : " ranks") << " (grid "
        << state.grid << "), seed " << state.seed << "\n"
        << "  pattern_hash         " << state.pattern_hash << "\n"
        << "  weights_hash         " << state.weights_hash << "\n"
        << "  checksums            " << summary.verified << " verified, all good\n";
    return out.str();
}

std::string changed_lines(const std::string& before, const std::string& now) {
    const auto lines = [](const std::string& all) {
        std::vector<std::string> list;
        std::istringstream in(all);
        for (std::string line; std::getline(in, line);) list.push_back(line);
        return list;
    };
    const auto old_lines = lines(before), new_lines = lines(now);
    std::vector<std::string> changes;
    for (const auto& line : old_lines)
        if (std::find(new_lines.begin(), new_lines.end(), line) == new_lines.end()) changes.push_back("  - " + line);
    for (const auto& line : new_lines)
        if (std::find(old_lines.begin(), old_lines.end(), line) == old_lines.end()) changes.push_back("  + " + line);
    return join(changes, "\n");
}

}  // namespace pruntrain
