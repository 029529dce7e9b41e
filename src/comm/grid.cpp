#include "pruntrain/comm/grid.hpp"

#include <charconv>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

index_t checked(index_t ranks, index_t model_shards) {
    if (ranks % model_shards == 0) return model_shards;
    std::vector<std::string> fitting;
    for (index_t shards = 1; shards <= ranks; ++shards)
        if (ranks % shards == 0) fitting.push_back(std::to_string(shards));
    input_error("parallel.model_shards is ", model_shards, ", which does not divide the ", ranks,
                ranks == 1 ? " rank" : " ranks", " of this run: start a multiple of ", model_shards,
                " ranks, or set model_shards to ", fitting.size() == 1 ? "" : "one of ", join(fitting));
}

}  // namespace

Grid::Grid(const Communicator& world, index_t model_shards)
    : Grid(world, checked(world.size(), model_shards), world.split(world.rank() % static_cast<int>(model_shards)),
           world.split(world.rank() / static_cast<int>(model_shards))) {}

Grid::Grid(const Communicator& world, index_t model_shards, const Communicator& replicas, const Communicator& shards)
    : model_shards_(model_shards),
      replica_count_(replicas.size()),
      world_(world),
      replicas_(replicas),
      shards_(shards) {}

Grid Grid::to_look_at(const Communicator& world, index_t model_shards, index_t ranks) {
    Grid grid(world, model_shards, world, world.split(world.rank()));
    if (ranks > 0) grid.replica_count_ = ranks / checked(ranks, model_shards);
    return grid;
}

std::string Grid::text() const { return pruntrain::text(replicas_.size(), "x", model_shards_); }

int Grid::replicas_of(const std::string& grid) {
    int replicas = 0;
    const auto [end, error] = std::from_chars(grid.data(), grid.data() + grid.size(), replicas);
    if (error != std::errc() || replicas < 1 || end == grid.data() + grid.size() || *end != 'x')
        fault("'", grid, "' is no grid of replicas x shards");
    return replicas;
}

}  // namespace pruntrain
