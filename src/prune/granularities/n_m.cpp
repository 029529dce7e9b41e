// Of each run of M neighbouring inputs of an output the N best remain (Zhou et al. 2021, "Learning N:M fine-grained
// structured sparse neural networks from scratch"). On the way to the final sparsity the largest N that it allows.
#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/prune/granularity.hpp"

namespace pruntrain {

namespace {

class NOfM final : public Granularity {
   public:
    explicit NOfM(KeptOfRun runs) : runs_(runs) {}
    std::optional<KeptOfRun> runs() const override { return runs_; }
    Traits traits() const override {
        return {.has = {Trait::fixed_runs},
                .refuses = {Trait::regrows, Trait::removes_units, Trait::chosen_allocation, Trait::cut_by_inputs,
                            Trait::starts_pruned, Trait::unit_scores, Trait::score_threshold}};
    }
    std::string describe() const override { return text(runs_.keep, " of ", runs_.most, " neighbouring inputs"); }

   private:
    KeptOfRun runs_;
};

}  // namespace

std::unique_ptr<Granularity> make_n_m(const Config& config) {
    const index_t keep = config.integer("n", 2, at_least(1), "remaining weights of a run of neighbouring inputs");
    const index_t most = config.integer("m", 4, between(2, 1024), "inputs of a run");
    if (keep >= most && !config.is_describing())
        input_error(config.place_of("n"), " is ", keep, ": allowed is < ", config.path_of("m"), ", ", most);
    return std::make_unique<NOfM>(KeptOfRun{keep, most});
}

}  // namespace pruntrain
