// A table of final sparsities by layer name; layers without an entry share the rest, so that the whole network
// reaches prune.final_sparsity. On the way there each entry grows in proportion.
#include <algorithm>
#include <cmath>
#include <map>

#include "pruntrain/base/text.hpp"
#include "pruntrain/prune/allocation.hpp"

namespace pruntrain {

namespace {

class PerLayer final : public Allocation {
   public:
    PerLayer(std::map<std::string, double> table, std::string place)
        : table_(std::move(table)), place_(std::move(place)) {}

    void check(const std::vector<PrunableLayer>& layers, double final_sparsity) const override {
        std::vector<std::string> names;
        for (const auto& layer : layers) names.push_back(layer.name);
        double removed = 0, named = 0, size = 0;
        for (const auto& layer : layers) {
            size += static_cast<double>(layer.size);
            if (!table_.count(layer.name)) continue;
            named += static_cast<double>(layer.size);
            removed += table_.at(layer.name) * static_cast<double>(layer.size);
        }
        for (const auto& [name, sparsity] : table_)
            if (std::find(names.begin(), names.end(), name) == names.end())
                input_error(place_, ".", name, ": no prunable layer of this name; there are: ", join(names));
        const double others = final_sparsity * size - removed, slack = static_cast<double>(layers.size());
        if (others < -slack || others > size - named + slack)
            input_error(place_, " removes ", exact(removed / size),
                        " of the weights by itself, and the layers that it does not name hold ",
                        exact((size - named) / size), ": prune.final_sparsity ", exact(final_sparsity),
                        " cannot be reached");
    }

    std::vector<SelectionGroup> groups(const std::vector<PrunableLayer>& layers, index_t keep,
                                       double progress) const override {
        std::vector<double> wanted(layers.size());
        double left = static_cast<double>(keep), unnamed = 0;
        for (std::size_t i = 0; i < layers.size(); ++i) {
            const auto entry = table_.find(layers[i].name);
            if (entry == table_.end()) {
                unnamed += static_cast<double>(layers[i].size);
            } else {
                wanted[i] = (1 - progress * entry->second) * static_cast<double>(layers[i].size);
                left -= wanted[i];
            }
        }
        for (std::size_t i = 0; i < layers.size(); ++i)
            if (!table_.count(layers[i].name)) wanted[i] = left * (static_cast<double>(layers[i].size) / unnamed);
        return one_group_per_layer(apportion(wanted, layers, keep));
    }

    Traits traits() const override { return {.has = {}, .refuses = {Trait::score_threshold}}; }
    std::string describe() const override { return "per layer"; }

   private:
    std::map<std::string, double> table_;
    std::string place_;
};

}  // namespace

std::unique_ptr<Allocation> make_per_layer(const Config& config) {
    const Config table = config.section("sparsity");
    std::map<std::string, double> entries;
    if (config.is_describing())
        table.number("LAYER", std::nullopt, between(0, 1), "final sparsity of the layer of this name");
    for (const auto& layer : table.keys())
        entries[layer] = table.number(layer, std::nullopt, between(0, 1), "final sparsity of the layer of this name");
    if (entries.empty() && !config.is_describing())
        input_error(config.path_of("sparsity"), " is missing: a table of layer names and their final sparsities");
    return std::make_unique<PerLayer>(std::move(entries), config.path_of("sparsity"));
}

}  // namespace pruntrain
