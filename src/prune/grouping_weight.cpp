// Each weight for itself.
#include "pruntrain/prune/grouping.hpp"

namespace pruntrain {

namespace {

class Weight final : public Grouping {
    std::string describe() const override { return "weights"; }
};

}  // namespace

std::unique_ptr<Grouping> make_weight(const Config&) { return std::make_unique<Weight>(); }

}  // namespace pruntrain
