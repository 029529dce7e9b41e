// All weights of the network compete.
#include <numeric>

#include "pruntrain/prune/allocation.hpp"

namespace pruntrain {

namespace {

class Global final : public Allocation {
    std::vector<SelectionGroup> groups(const std::vector<PrunableLayer>& layers, index_t keep, double) const override {
        SelectionGroup all{std::vector<std::size_t>(layers.size()), keep};
        std::iota(all.layers.begin(), all.layers.end(), std::size_t{0});
        return {all};
    }

    std::string describe() const override { return "global"; }
};

}  // namespace

std::unique_ptr<Allocation> make_global(const Config&) { return std::make_unique<Global>(); }

}  // namespace pruntrain
