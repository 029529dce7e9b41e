// Sparse layers against the same layers dense, on one core; prints CSV.
//
// The dense side is the layer with all its weights, through OpenBLAS: what a user has who does not prune. The sparse
// side is the pruned layer. Both are the layers of the program, with their aligned arrays, and all that a step costs is
// counted, also the gathering of values and gradients. The two sides take turns; a row gives the medians.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <limits>

#include "../support/layer_bench.hpp"
#include "median.hpp"
#include "patterns.hpp"
#include "pruntrain/base/timer.hpp"
#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/math/blas.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/model/weight_matrix.hpp"
#include "pruntrain/parallel/execution_planner.hpp"

using namespace pruntrain;

namespace {

constexpr index_t batch = 128;       // samples
constexpr int warm_up = 2;           // turns that are not counted: pages are mapped, sparse plans are made
constexpr double at_least_s = 0.25;  // of counted turns: short ones need more than the asked number

struct Problem {
    std::string name;  ///< "1024x1024", units x inputs; "32-64@14", channels at rows and columns of the image
    std::string layer;
    Shape input;
};

const std::vector<Problem> problems{
    {"300x784", "{layer: dense, units: 300}", {784, 1, 1}},
    {"1024x1024", "{layer: dense, units: 1024}", {1024, 1, 1}},
    {"4096x1024", "{layer: dense, units: 4096}", {1024, 1, 1}},
    {"512x4608", "{layer: dense, units: 512}", {4608, 1, 1}},
    {"32-64@14", "{layer: conv2d, channels: 64, kernel: 3, padding: 1}", {32, 14, 14}},
    {"64-64@8", "{layer: conv2d, channels: 64, kernel: 3, padding: 1}", {64, 8, 8}},
    {"256-256@8", "{layer: conv2d, channels: 256, kernel: 3, padding: 1}", {256, 8, 8}},
};

enum Kind : std::size_t { forward, input_gradient, weight_gradient, step, kinds };
constexpr std::array<const char*, kinds> kind_names{"forward", "input_gradient", "weight_gradient", "step"};

AlignedVector<real> normal_numbers(index_t count, std::uint32_t stream) {
    const auto numbers = random_numbers(count, stream);
    return {numbers.begin(), numbers.end()};
}

/// A layer with its arrays, as it stands in a network that trains.
class Bench {
   public:
    /// @param keep  flags of the weights, or empty: the dense side
    /// @param tile  width of a tile; 0: as the program chooses
    Bench(const Problem& problem, const std::vector<std::uint8_t>& keep, index_t tile)
        : network_(config_of("model: [" + problem.layer + "]").list("model"), problem.input),
          layer_(network_.layer(0)) {
        network_.initialize(1);
        if (!keep.empty()) {
            std::vector<std::vector<std::uint8_t>> flags;
            for (const auto* parameter : network_.arena().parameters())
                flags.push_back(parameter == &weight() ? keep : std::vector<std::uint8_t>{});
            network_.arena().keep(flags);
            layer_.weight_matrix()->execute(Execution::sparse);
        }
        network_.set_tile_widths(
            tile != 0 ? TileWidths{tile, tile}
                      : ExecutionPlanner(network_, ExecutionChoice::sparse, Grid(Communicator::world(), 1))
                            .tile_widths(batch));
        step_.training = true;
        step_.tiling = network_.input_tiling(batch);
        step_.global_samples = batch;
        x_ = normal_numbers(step_.tiling.size(problem.input.size()), 4);
        dy_ = normal_numbers(step_.tiling.size(layer_.output_shape().size()), 5);
        y_.resize(dy_.size());
        dx_.resize(x_.size());
        workspace_.resize(static_cast<std::size_t>(layer_.workspace_size(step_.tiling.width)));
        for (const auto* parameter : layer_.parameters()) gradients_.push_back(parameter->gradient);
    }

    index_t tile() const { return step_.tiling.width; }
    const Parameter& weight() { return layer_.weight_matrix()->parameter(); }

    /// Multiplications and additions of a product with the kept weights.
    double operations() {
        return 2.0 * static_cast<double>(weight().pattern.kept() * batch * layer_.output_shape().pixels());
    }

    /// A training step, then the weight gradient alone, as in the first layer of a network; the input gradient is what
    /// the first backward took longer.
    void take_turn() {
        Timer timer;
        layer_.forward(step_, x_.data(), y_.data(), workspace_);
        const double forward_s = timer.seconds();
        layer_.backward(step_, x_.data(), y_.data(), dy_.data(), dx_.data(), gradients_, workspace_);
        const double step_s = timer.seconds();
        timer.restart();
        layer_.backward(step_, x_.data(), y_.data(), dy_.data(), nullptr, gradients_, workspace_);
        const double weight_gradient_s = timer.seconds();
        seconds_[forward].push_back(forward_s);
        seconds_[input_gradient].push_back(step_s - forward_s - weight_gradient_s);
        seconds_[weight_gradient].push_back(weight_gradient_s);
        seconds_[step].push_back(step_s);
    }

    void forget() {
        for (auto& all : seconds_) all.clear();
    }

    double median_of(Kind kind) const { return median(seconds_[kind]); }

   private:
    Network network_;
    Layer& layer_;
    AlignedVector<real> x_, y_, dy_, dx_, workspace_;
    std::vector<std::span<real>> gradients_;
    StepContext step_;
    std::array<std::vector<double>, kinds> seconds_;
};

struct Arguments {
    std::vector<std::string> shapes;
    std::vector<double> densities{0.5, 0.2, 0.1, 0.05, 0.02};
    std::vector<std::string> patterns{"random", "skewed"};
    index_t tile = 0;  ///< of the sparse side; 0: as the program chooses
    int turns = 15;
};

void compare(const Problem& problem, const std::string& pattern, double density, const Arguments& arguments) {
    Bench dense(problem, {}, 0);
    const index_t rows = dense.weight().pattern.rows(), columns = dense.weight().pattern.columns();
    const bool skewed = pattern == "skewed";
    const auto keep = draw_pattern(density, skewed ? zipf_shares(rows, 1) : even_shares(rows),
                                   skewed ? zipf_shares(columns, 2) : even_shares(columns));
    Bench sparse(problem, keep, arguments.tile);

    Timer timer;
    for (int turn = -warm_up; turn < arguments.turns || timer.seconds() < at_least_s; ++turn) {
        if (turn == 0) {
            dense.forget();
            sparse.forget();
            timer.restart();
        }
        dense.take_turn();
        sparse.take_turn();
    }
    for (const auto kind : {forward, input_gradient, weight_gradient, step}) {
        const double dense_s = dense.median_of(kind), sparse_s = sparse.median_of(kind);
        const double operations = sparse.operations() * (kind == step ? 3 : 1);
        std::printf("%s,%s,%s,%td,%td,%td,%td,%g,%.4f,%.4f,%.2f,%.1f\n", problem.name.c_str(), pattern.c_str(),
                    kind_names[kind], rows, columns, batch, sparse.tile(), density, 1e3 * dense_s, 1e3 * sparse_s,
                    dense_s / sparse_s, operations / sparse_s / 1e9);
    }
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    set_up_blas(argv);
    Arguments arguments;
    std::vector<std::string> names;
    for (const auto& problem : problems) names.push_back(problem.name);
    CLI::App app{"Times sparse layers against dense ones. The shapes: " + join(names)};
    app.add_option("--shape", arguments.shapes, "these shapes only")->check(CLI::IsMember(names));
    app.add_option("--density", arguments.densities, "kept fractions of the weights")->check(CLI::Range(0.001, 0.7));
    app.add_option("--pattern", arguments.patterns, "where they stand; skewed: row and column lengths by Zipf's law")
        ->check(CLI::IsMember({"random", "skewed"}));
    app.add_option("--tile", arguments.tile, "tile width of the sparse side instead of the program's choice")
        ->check(CLI::IsMember({8, 16, 32, 64, 128}));
    app.add_option("--turns", arguments.turns, "counted turns of each side, at least")->check(CLI::PositiveNumber);
    CLI11_PARSE(app, argc, argv);

    const MpiSession session(argc, argv);
    std::cout << "shape,pattern,kind,M,K,B,T,density,dense_ms,sparse_ms,speedup,gflops" << std::endl;
    for (const auto& problem : problems) {
        if (!arguments.shapes.empty() && std::ranges::count(arguments.shapes, problem.name) == 0) continue;
        for (const auto& pattern : arguments.patterns)
            for (const double density : arguments.densities) compare(problem, pattern, density, arguments);
    }
}
