// Every layer keeps the same fraction.
#include "pruntrain/prune/allocation.hpp"

namespace pruntrain {

namespace {

class Uniform final : public Allocation {
    std::vector<SelectionGroup> groups(const std::vector<PrunableLayer>& layers, index_t keep, double) const override {
        double size = 0;
        for (const auto& layer : layers) size += static_cast<double>(layer.size);
        std::vector<double> wanted;
        for (const auto& layer : layers)
            wanted.push_back(static_cast<double>(keep) * (static_cast<double>(layer.size) / size));
        return one_group_per_layer(apportion(wanted, layers, keep));
    }

    Traits traits() const override { return {.has = {}, .refuses = {Trait::score_threshold}}; }
    std::string describe() const override { return "uniform"; }
};

}  // namespace

std::unique_ptr<Allocation> make_uniform(const Config&) { return std::make_unique<Uniform>(); }

}  // namespace pruntrain
