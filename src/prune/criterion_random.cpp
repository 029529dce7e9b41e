// A random order, one for the whole run: the baseline that every criterion must beat.
#include "pruntrain/base/random.hpp"
#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

class Random final : public Criterion {
   public:
    explicit Random(std::uint64_t seed) : random_(seed, Purpose::criterion) {}

    std::vector<real> scores(const Parameter& parameter) const override {
        const auto positions = parameter.pattern.dense_positions();
        std::vector<real> all(positions.size());
        for (std::size_t k = 0; k < all.size(); ++k)
            all[k] =
                static_cast<real>(random_.uniform(parameter.first_number + static_cast<weight_number_t>(positions[k])));
        return all;
    }

    std::string describe() const override { return "random"; }

   private:
    RandomStream random_;
};

}  // namespace

std::unique_ptr<Criterion> make_random(const Config&, std::uint64_t seed) { return std::make_unique<Random>(seed); }

}  // namespace pruntrain
