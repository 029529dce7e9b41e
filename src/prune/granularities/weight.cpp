// Single weights (unstructured).
#include "pruntrain/prune/granularity.hpp"

namespace pruntrain {

namespace {

class Weight final : public Granularity {
    Traits traits() const override { return {.has = {}, .refuses = {Trait::unit_scores}}; }
    std::string describe() const override { return "weights"; }
};

}  // namespace

std::unique_ptr<Granularity> make_weight(const Config&) { return std::make_unique<Weight>(); }

}  // namespace pruntrain
