// All weights of the network compete.

#include "pruntrain/prune/allocation.hpp"

namespace pruntrain {

namespace {

class Global final : public Allocation {
    std::vector<SelectionGroup> groups(const std::vector<PrunableLayer>& layers, index_t keep, double) const override {
        return one_group_of_all(layers.size(), keep);
    }

    Traits traits() const override { return {}; }
    std::string describe() const override { return "global"; }
};

}  // namespace

std::unique_ptr<Allocation> make_global(const Config&) { return std::make_unique<Global>(); }

}  // namespace pruntrain
