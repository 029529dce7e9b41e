#include "pruntrain/run/summary.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "pruntrain/base/table.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/parallel/census.hpp"

namespace pruntrain {

namespace {

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

}  // namespace

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
    json["steps"] = result.state.updates();
    json["epochs"] = result.state.epoch;
    json["seed"] = result.state.seed;
    json["pattern_hash"] = result.state.pattern_hash;
    json["weights_hash"] = result.state.weights_hash;
    json["checkpoint"] = result.checkpoint;
    json["best_checkpoint"] =
        result.best_checkpoint.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(result.best_checkpoint);
    for (const auto& row : result.profile) {
        auto& seconds = json["seconds"][name_of(row.phase)];
        seconds =
            seconds.is_null() ? row.seconds : seconds.get<double>() + row.seconds;  // sum over all layers of a phase
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
                        grouped(result.kept[i]), grouped(size), density_text(result.kept[i], size)});
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
        << (result.state.ranks == 1 ? " rank" : " ranks")
        << (result.samples_per_s > 0  // 0: nothing was left to train
                ? text(", ", grouped(static_cast<index_t>(result.samples_per_s)), " samples/s while training")
                : "")
        << "\n"
        << "  checkpoint     " << result.checkpoint << "\n"
        << "  results        " << folder << "/summary.json, history.csv"
        << (result.profile.empty() ? "" : ", profile.csv");
    return out.str();
}

}  // namespace pruntrain
