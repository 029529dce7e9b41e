// Two shards of a model, or more, cut in even blocks of rows and in blocks of as many kept weights; prints CSV.
//
// A network 784-1024-1024-10 with Adam's slots trains on 128 samples, one shard a rank, pruned layers sparse. The
// patterns: `random`, all weights equally likely; `graded`, rows fuller the earlier they stand, the first twice as full
// as the mean, the last empty. The two cuts take turns; a row gives the medians. move_ms is what a move of the rows
// from one cut to the other costs, with values and slots, repaid after so many steps.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include "../support/layer_bench.hpp"
#include "median.hpp"
#include "patterns.hpp"
#include "pruntrain/base/timer.hpp"
#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/math/blas.hpp"
#include "pruntrain/model/weight_matrix.hpp"
#include "pruntrain/parallel/exchange_layer.hpp"
#include "pruntrain/parallel/execution_planner.hpp"
#include "pruntrain/parallel/partition.hpp"

using namespace pruntrain;

namespace {

constexpr index_t batch = 128;  // samples
constexpr int warm_up = 3;      // turns that are not counted
constexpr const char* model =
    "model: [{layer: dense, units: 1024}, {layer: relu}, {layer: dense, units: 1024}, {layer: relu}, "
    "{layer: dense, units: 10, prunable: false}]";

class Bench {
   public:
    explicit Bench(const Grid& grid) : grid_(grid), even_(make({}, true)) {
        even_->arena().create_slots({"m", "v"});
        even_->initialize(1);
    }

    void prune(double density, bool graded) {
        std::vector<std::vector<std::uint8_t>> flags;
        for (const Parameter* parameter : even_->arena().parameters()) {
            flags.emplace_back();
            if (!parameter->prunable) continue;
            const index_t rows = parameter->tensor_shape[0], columns = parameter->pattern.columns();
            std::vector<double> shares = even_shares(rows);
            for (index_t row = 0; graded && row < rows; ++row)
                shares[static_cast<std::size_t>(row)] = static_cast<double>(rows - row);
            const auto all = draw_pattern(density, shares, even_shares(columns));
            const auto begin = all.begin() + parameter->first_row * columns;
            flags.back().assign(begin, begin + parameter->pattern.dense_size());
        }
        even_->arena().keep(flags);
        set_up(*even_);
    }

    void compare(const std::string& pattern, double density, int turns) {
        auto layers = sparse_layers(*even_, grid_.shards());
        const double before = imbalance(layers);
        Partition cuts;
        for (auto& layer : layers) cuts[layer.name] = layer.offsets = balanced_cut(layer.weights, grid_.model_shards());
        const double after = imbalance(layers);
        std::vector<double> even_s, cut_s, move_s;
        for (int turn = -warm_up; turn < turns; ++turn) {
            grid_.world().barrier();
            const Timer timer;
            auto moved = make(cuts, false);
            repartition_network(*even_, *moved, grid_, {});
            const double seconds = grid_.world().all_reduce_max(timer.seconds());
            set_up(*moved);
            step(*moved);  // makes its plans
            step(*even_);
            const double cut = step(*moved), even = step(*even_);
            if (turn < 0) continue;
            move_s.push_back(seconds);
            even_s.push_back(even);
            cut_s.push_back(cut);
        }
        if (!grid_.world().is_root()) return;
        const double even = median(even_s), cut = median(cut_s), move = median(move_s);
        std::printf("%td,%s,%g,%.3f,%.3f,%.4f,%.4f,%.2f,%.3f,", grid_.model_shards(), pattern.c_str(), density, before,
                    after, 1e3 * even, 1e3 * cut, even / cut, 1e3 * move);
        if (cut < even) std::printf("%.0f\n", move / (even - cut));
        else std::printf("never\n");
        std::fflush(stdout);
    }

   private:
    std::unique_ptr<Network> make(const Partition& cuts, bool allocate) const {
        return std::make_unique<Network>(
            config_of(model).list("model"), Shape{784, 1, 1}, ModelShard{grid_.shard(), grid_.model_shards(), cuts},
            [this](const LayerPlace& place, Network::Exchange what, bool last) {
                return make_exchange_layer(place, what, last, grid_.shards());
            },
            allocate);
    }

    void set_up(Network& network) const {
        for (std::size_t i = 0; i < network.layer_count(); ++i)
            if (WeightMatrix* const weight = network.layer(i).weight_matrix(); weight && weight->parameter().prunable)
                weight->execute(Execution::sparse);
        network.set_tile_widths(ExecutionPlanner(network, ExecutionChoice::sparse, grid_).tile_widths(batch));
        network.reserve(batch);
    }

    /// Forward and backward. @return seconds until the last rank is done
    double step(Network& network) const {
        NetworkStep step;
        step.training = true;
        step.tiling.samples = step.global_samples = batch;
        const auto x = random_numbers(network.input_tiling(batch).size(784), 3);
        const auto slopes = random_numbers(network.output_tiling(batch).size(10), 4);
        std::copy(x.begin(), x.end(), network.input());
        grid_.world().barrier();
        const Timer timer;
        for (std::size_t layer = 0; layer < network.layer_count(); ++layer) network.forward(step, layer);
        std::copy(slopes.begin(), slopes.end(), network.output_gradient());
        for (std::size_t layer = network.layer_count(); layer-- > 0;) network.backward(step, layer);
        return grid_.world().all_reduce_max(timer.seconds());
    }

    Grid grid_;
    std::unique_ptr<Network> even_;
};

}  // namespace

int main(int argc, char** argv) {
    set_up_blas(argv);
    std::vector<double> densities{0.2, 0.1, 0.05};
    int turns = 25;
    CLI::App app{
        "Times shards of a model cut evenly against shards with as many weights each. Start it with mpirun, one "
        "rank a shard"};
    app.add_option("--density", densities, "kept fractions of the weights")->check(CLI::Range(0.001, 0.7));
    app.add_option("--turns", turns, "counted turns of each side")->check(CLI::PositiveNumber);
    CLI11_PARSE(app, argc, argv);

    const MpiSession session(argc, argv);
    const Communicator world = Communicator::world();
    const Grid grid(world, world.size());
    if (world.is_root())
        std::cout
            << "shards,pattern,density,imbalance_even,imbalance_cut,even_ms,cut_ms,speedup,move_ms,repaid_after_steps"
            << std::endl;
    for (const bool graded : {false, true})
        for (const double density : densities) {
            Bench bench(grid);
            bench.prune(density, graded);
            bench.compare(graded ? "graded" : "random", density, turns);
        }
}
