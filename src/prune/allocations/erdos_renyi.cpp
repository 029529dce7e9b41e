// Densities in proportion to (inputs + outputs) / (inputs * outputs) of a layer (Mocanu et al. 2018, "SET",
// Erdos-Renyi), for convolutions with the sides of the kernel as further dimensions (Evci et al. 2020, "RigL", section
// 3, Erdos-Renyi-Kernel): small layers remain denser. No layer gets a density above 1: the densest ones remain dense,
// and the others share the rest in the same proportion, as in the authors' program (google-research/rigl,
// sparse_utils.py).
#include <algorithm>
#include <cmath>

#include "pruntrain/prune/allocation.hpp"

namespace pruntrain {

namespace {

/// What a layer's density is in proportion to.
double raw_density(const PrunableLayer& layer, bool kernel, double power) {
    double sum = 0, product = 1;
    for (std::size_t i = 0; i < layer.shape.size() && (kernel || i < 2); ++i) {
        sum += static_cast<double>(layer.shape[i]);
        product *= static_cast<double>(layer.shape[i]);
    }
    return std::pow(sum / product, power);
}

class ErdosRenyi final : public Allocation {
   public:
    ErdosRenyi(bool kernel, double power) : kernel_(kernel), power_(power) {}

    std::vector<SelectionGroup> groups(const std::vector<PrunableLayer>& layers, index_t keep,
                                       double progress) const override {
        double size = 0;
        for (const auto& layer : layers) size += static_cast<double>(layer.size);
        const double final_sparsity = (1 - static_cast<double>(keep) / size) / progress;
        const std::vector<double> density = densities(layers, 1 - final_sparsity);
        std::vector<double> wanted;
        for (std::size_t i = 0; i < layers.size(); ++i)
            wanted.push_back((1 - progress * (1 - density[i])) * static_cast<double>(layers[i].size));
        return one_group_per_layer(apportion(wanted, layers, keep));
    }

    Traits traits() const override { return {.has = {}, .refuses = {Trait::score_threshold}}; }
    std::string describe() const override { return kernel_ ? "Erdos-Renyi-Kernel" : "Erdos-Renyi"; }

   private:
    /// @param density  of the whole network
    std::vector<double> densities(const std::vector<PrunableLayer>& layers, double density) const {
        std::vector<double> raw, result(layers.size(), 1.0);
        for (const auto& layer : layers) raw.push_back(raw_density(layer, kernel_, power_));
        std::vector<bool> whole(layers.size(), false);
        for (std::size_t round = 0; round < layers.size(); ++round) {
            // factor * raw is the density of all that are not dense, so that the sum over the network is right.
            double left = 0, shares = 0, highest = 0;
            for (std::size_t i = 0; i < layers.size(); ++i) {
                const auto size = static_cast<double>(layers[i].size);
                left += whole[i] ? (density - 1) * size : density * size;
                if (whole[i]) continue;
                shares += raw[i] * size;
                highest = std::max(highest, raw[i]);
            }
            if (shares == 0) return result;  // all are dense
            const double factor = left / shares;
            if (factor * highest <= 1) {
                for (std::size_t i = 0; i < layers.size(); ++i)
                    if (!whole[i]) result[i] = std::max(0.0, factor * raw[i]);
                return result;
            }
            for (std::size_t i = 0; i < layers.size(); ++i) whole[i] = whole[i] || raw[i] == highest;
        }
        return result;
    }

    bool kernel_;
    double power_;
};

double read_power(const Config& config) {
    return config.number("power", 1.0, above(0), "the raw densities are taken to this power; below 1: more alike");
}

}  // namespace

std::unique_ptr<Allocation> make_erdos_renyi(const Config& config) {
    return std::make_unique<ErdosRenyi>(false, read_power(config));
}

std::unique_ptr<Allocation> make_erk(const Config& config) {
    return std::make_unique<ErdosRenyi>(true, read_power(config));
}

}  // namespace pruntrain
