// Each weight for itself.
#include "pruntrain/prune/granularity.hpp"

namespace pruntrain {

namespace {

class Weight final : public Granularity {
    std::string describe() const override { return "weights"; }
};

}  // namespace

std::unique_ptr<Granularity> make_weight(const Config&) { return std::make_unique<Weight>(); }

}  // namespace pruntrain
