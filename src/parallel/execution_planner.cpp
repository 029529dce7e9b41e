#include "pruntrain/parallel/execution_planner.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <sstream>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/math/sparse_kernels.hpp"

namespace pruntrain {

namespace {

constexpr double always_dense = 0.8;     // above, BLAS is faster on every processor that was measured
constexpr double sparse_below = 0.4;     // below, sparse execution is faster on every processor that was measured
constexpr double clearly_faster = 0.95;  // a tie goes to the current execution
constexpr double share_of_run = 0.002;   // for measuring; with sparse execution the run is several times shorter
constexpr int repetitions = 3;           // the minimum counts, to exclude interference by other processes

const char* word(Execution execution) { return execution == Execution::sparse ? "sparse" : "dense"; }

}  // namespace

ExecutionPlanner::ExecutionPlanner(Network& network, ExecutionChoice choice, const Grid& grid)
    : network_(network), choice_(choice), grid_(grid) {
    for (const std::size_t layer : network.layers_with_weights())
        layers_.push_back({layer, network.layer(layer).weight_matrix(), always_dense});
    count();
}

std::vector<LayerWeights> ExecutionPlanner::layers() const {
    std::vector<std::uint64_t> kept;
    for (const Planned& planned : layers_)
        kept.push_back(static_cast<std::uint64_t>(planned.weight->parameter().pattern.kept()));
    grid_.shards().all_reduce_sum(std::span(kept));
    std::vector<LayerWeights> layers;
    for (std::size_t i = 0; i < layers_.size(); ++i)
        layers.push_back({static_cast<index_t>(kept[i]), layers_[i].weight->sparse()});
    return layers;
}

void ExecutionPlanner::count() {
    const std::vector<LayerWeights> now = layers();
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        layers_[i].size = layers_[i].weight->parameter().tensor_size();
        layers_[i].kept = now[i].kept;
    }
}

std::string ExecutionPlanner::plan(const StepContext& step, double run_s, bool last) {
    std::uint64_t may_measure =
        choice_ == ExecutionChoice::measured && (last || measuring_s_ == 0 || measuring_s_ < share_of_run * run_s);
    grid_.world().broadcast(std::span(&may_measure, 1));
    count();
    std::string changes;
    for (Planned& planned : layers_) {
        const double density = planned.density();
        if (density == 1 && planned.weight->sparse()) {  // weights were regrown
            planned.weight->execute(Execution::dense);
            planned.look_below = always_dense;
            changes += text(network_.layer(planned.layer).name(), " has all its weights again, executes dense\n");
        }
        if (planned.weight->sparse() || density == 1) continue;
        if (choice_ == ExecutionChoice::sparse || (choice_ == ExecutionChoice::density && density < sparse_below)) {
            planned.weight->execute(Execution::sparse);
            changes += text(network_.layer(planned.layer).name(), " executes sparse at density ", fixed(density, 3),
                            ", because of train.execution: ", word_of(choice_, execution_choices), "\n");
        } else if (may_measure && density <= planned.look_below) {
            changes += measure(planned, step);
        }
    }
    if (!changes.empty()) changes.pop_back();
    network_.release_scratch();
    return changes;
}

std::string ExecutionPlanner::measure(Planned& planned, const StepContext& step) {
    const Timer timer;
    std::array<double, 2> seconds{};
    for (const Execution execution : {Execution::dense, Execution::sparse}) {
        planned.weight->execute(execution);
        seconds[static_cast<std::size_t>(execution)] = seconds_of(planned.layer, step);
    }
    grid_.world().broadcast(std::span<double>(seconds));
    const bool sparse = seconds[1] < clearly_faster * seconds[0];
    measuring_s_ += timer.seconds();
    if (!sparse) {
        planned.weight->execute(Execution::dense);
        // The density at which it would be clearly faster if its time fell proportionally.
        planned.look_below = planned.density() * std::clamp(0.9 * seconds[0] / seconds[1], 0.5, 0.9);
        return "";
    }
    return text(network_.layer(planned.layer).name(), " now executes sparse: at density ", fixed(planned.density(), 3),
                " a step of the layer takes ", fixed(1e3 * seconds[1], 3), " ms, dense ", fixed(1e3 * seconds[0], 3),
                " ms\n");
}

double ExecutionPlanner::seconds_of(std::size_t layer, const StepContext& step) {
    network_.dry_run_layer(step, layer);  // makes plans, unpacks, warms the caches
    double least = std::numeric_limits<double>::infinity();
    for (int i = 0; i < repetitions; ++i) {
        const Timer timer;
        network_.dry_run_layer(step, layer);
        least = std::min(least, timer.seconds());
    }
    return least;
}

std::string ExecutionPlanner::describe() const {
    std::vector<std::string> words;
    for (const Planned& planned : layers_) words.push_back(word(planned.weight->execution()));
    return join(words, " ");
}

void ExecutionPlanner::restore(const std::string& description) {
    std::istringstream words(description);
    for (Planned& planned : layers_) {
        std::string execution;
        if (!(words >> execution) || (execution != "dense" && execution != "sparse"))
            input_error("the checkpoint's execution is '", description, "': expected dense or sparse for each of ",
                        layers_.size(), " layers");
        planned.weight = network_.layer(planned.layer).weight_matrix();
        planned.weight->execute(execution == "sparse" ? Execution::sparse : Execution::dense);
    }
    network_.release_scratch();
    count();
}

TileWidths ExecutionPlanner::tile_widths(index_t samples) const {
    // Measured on Zen 3 (registers for 64 samples) and Emerald Rapids (128). Tiles for all registers save loads of
    // values and additions across lanes. Tiles for half of them let more inputs into a panel, since the rows of a panel
    // would otherwise have too few entries at high sparsity.
    constexpr index_t usual = 64;
    constexpr double wide_from = 0.4, narrow_below = 0.06;
    const index_t full = register_lanes();
    double kept = 0, size = 0;
    for (const Planned& planned : layers_)
        if (planned.weight->sparse() && network_.layer(planned.layer).input_shape().flat()) {
            kept += static_cast<double>(planned.kept);
            size += static_cast<double>(planned.size);
        }
    if (size > 0 && kept >= wide_from * size) return pruntrain::tile_widths(samples, std::max(usual, full));
    if (kept < narrow_below * size) return pruntrain::tile_widths(samples, std::min(usual, full / 2));
    return pruntrain::tile_widths(samples, usual);
}

index_t ExecutionPlanner::sparse_layers() const {
    return std::count_if(layers_.begin(), layers_.end(),
                         [](const Planned& planned) { return planned.weight->sparse(); });
}

}  // namespace pruntrain
