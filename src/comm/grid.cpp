#include "pruntrain/comm/grid.hpp"

#include <charconv>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

index_t checked(const Communicator& world, index_t model_shards) {
    if (world.size() % model_shards == 0) return model_shards;
    std::vector<std::string> fitting;
    for (int shards = 1; shards <= world.size(); ++shards)
        if (world.size() % shards == 0) fitting.push_back(std::to_string(shards));
    input_error("parallel.model_shards is ", model_shards, ", which does not divide the ", world.size(),
                world.size() == 1 ? " rank" : " ranks", " of this run: start a multiple of ", model_shards,
                " ranks, or set it to ", fitting.size() == 1 ? "" : "one of ", join(fitting));
}

}  // namespace

Grid::Grid(const Communicator& world, index_t model_shards)
    : Grid(world, checked(world, model_shards), world.split(world.rank() % static_cast<int>(model_shards)),
           world.split(world.rank() / static_cast<int>(model_shards))) {}

Grid::Grid(const Communicator& world, index_t model_shards, const Communicator& replicas, const Communicator& shards)
    : model_shards_(model_shards), world_(world), replicas_(replicas), shards_(shards) {}

Grid Grid::to_look_at(const Communicator& world, index_t model_shards) {
    return {world, model_shards, world, world.split(world.rank())};
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
