// At random, anew in each event: needs no gradients of weights that are not there. Either they take part at once
// (Mocanu et al. 2018, "SET"), or they are a reserve on trial: trained, but not used, until they are larger than
// weights that are (after Jayakumar et al. 2020, "Top-KAST": the forward set is the largest, the backward set has
// others beside it. There a dense copy of all weights says which those others are; here there is none: what leaves is
// gone).
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
    std::string how() const override { return reserve_ ? "at random as a hidden reserve" : "at random"; }

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
