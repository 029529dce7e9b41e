// All weights compete by scores relative to their own layer (Lee et al. 2021, "Layer-adaptive sparsity for the
// magnitude-based pruning"): the score s of a weight becomes s^2 over the sum of the squares of all scores
// of its layer that are no smaller. The largest of each layer gets 1, so no layer vanishes; the sensitive, small layers
// keep more.
#include <algorithm>
#include <functional>

#include "pruntrain/prune/allocation.hpp"

namespace pruntrain {

namespace {

class Lamp final : public Allocation {
    std::vector<SelectionGroup> groups(const std::vector<PrunableLayer>& layers, index_t keep, double) const override {
        return one_group_of_all(layers.size(), keep);
    }

    Traits traits() const override {
        return {.has = {}, .refuses = {Trait::signed_scores}};  // a square has no sign
    }

    void compare_layers(std::span<real> scores, const Communicator& shards) const override {
        // In descending order the sums are the same whichever shards the scores come from.
        std::vector<real> all = shards.gather_v(std::span<const real>(scores));
        index_t count = static_cast<index_t>(all.size());
        shards.broadcast(std::span(&count, 1));
        all.resize(count);
        shards.broadcast(std::span(all));
        std::sort(all.begin(), all.end(), std::greater<>());
        std::vector<double> sums(all.size());
        double sum = 0;
        for (std::size_t i = 0; i < all.size(); ++i) {
            sum += static_cast<double>(all[i]) * static_cast<double>(all[i]);
            sums[i] = sum;
        }
        for (real& score : scores) {
            if (score == 0) continue;
            const auto after = std::upper_bound(all.begin(), all.end(), score, std::greater<>());  // equals included
            const double squares = sums[static_cast<std::size_t>(after - all.begin()) - 1];
            score = static_cast<real>(static_cast<double>(score) * static_cast<double>(score) / squares);
        }
    }

    std::string describe() const override { return "LAMP"; }
};

}  // namespace

std::unique_ptr<Allocation> make_lamp(const Config&) { return std::make_unique<Lamp>(); }

}  // namespace pruntrain
