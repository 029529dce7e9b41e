// A random order, one for the whole run: the baseline that every criterion must beat.
#include "pruntrain/base/random.hpp"
#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

class Random final : public Criterion {
   public:
    explicit Random(std::uint64_t seed) : random_(seed, Purpose::criterion) {}

    std::vector<real> scores(const Parameter& parameter) const override {
        std::vector<real> all(parameter.value.size());
        parameter.for_each_number(
            [&](index_t k, weight_number_t number) { all[k] = static_cast<real>(random_.uniform(number)); });
        return all;
    }

    Traits traits() const override { return {}; }
    std::string describe() const override { return "random"; }

   private:
    RandomStream random_;
};

}  // namespace

std::unique_ptr<Criterion> make_random(const Config&, std::uint64_t seed) { return std::make_unique<Random>(seed); }

}  // namespace pruntrain
