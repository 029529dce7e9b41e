// At random, anew in each event (Mocanu et al. 2018, "SET"): needs no gradients of weights that are not there.
#include "pruntrain/base/random.hpp"
#include "pruntrain/prune/regrowth.hpp"

namespace pruntrain {

namespace {

class RandomRegrowth final : public Regrowth {
   public:
    RandomRegrowth(const Config& config, std::uint64_t seed, const RunLength& length)
        : Regrowth(config, length), seed_(seed) {}

    void score(Scored& places, index_t step) const override {
        const RandomStream random(seed_, Purpose::regrowth, 0, step);
        places.for_each(0, static_cast<index_t>(places.scores.size()),
                        [&](std::size_t k, std::uint64_t, weight_number_t number) {
                            places.scores[k] = static_cast<real>(random.uniform(number));
                        });
    }

   private:
    std::string how() const override { return "at random"; }

    std::uint64_t seed_;
};

}  // namespace

std::unique_ptr<Regrowth> make_random(const Config& config, std::uint64_t seed, const RunLength& length) {
    return std::make_unique<RandomRegrowth>(config, seed, length);
}

}  // namespace pruntrain
