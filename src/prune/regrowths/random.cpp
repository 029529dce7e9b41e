// At random, independently in each event: needs no gradients of inactive weights. Either the new weights are used at
// once (Mocanu et al. 2018, "SET"), or they are a reserve: soft-pruned and trained until they are larger than weights
// in use (after Jayakumar et al. 2020, "Top-KAST": the forward set has the largest weights, the backward set others
// too. There a dense copy of all weights determines those others; here there is none, and a dropped weight is lost).
#include "pruntrain/base/random.hpp"
#include "pruntrain/prune/regrowth.hpp"

namespace pruntrain {

namespace {

class RandomRegrowth final : public Regrowth {
   public:
    RandomRegrowth(const Config& config, std::uint64_t seed, const RunLength& length, bool reserve)
        : Regrowth(config, length), seed_(seed), reserve_(reserve) {}

    bool soft_prunes() const override { return reserve_; }

    void score(Scored& places, index_t step) const override {
        const RandomStream random(seed_, Purpose::regrowth, 0, step);
        places.for_each(0, static_cast<index_t>(places.scores.size()),
                        [&](std::size_t k, std::uint64_t, weight_number_t number) {
                            places.scores[k] = static_cast<real>(random.uniform(number));
                        });
    }

   private:
    std::string how() const override { return reserve_ ? "at random as a soft-pruned reserve" : "at random"; }

    std::uint64_t seed_;
    bool reserve_;
};

}  // namespace

std::unique_ptr<Regrowth> make_random(const Config& config, std::uint64_t seed, const RunLength& length) {
    return std::make_unique<RandomRegrowth>(config, seed, length, false);
}

std::unique_ptr<Regrowth> make_reserve(const Config& config, std::uint64_t seed, const RunLength& length) {
    return std::make_unique<RandomRegrowth>(config, seed, length, true);
}

}  // namespace pruntrain
