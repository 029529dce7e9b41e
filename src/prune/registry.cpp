// The families of pruning by name. To add a member: write its file with make_NAME, and a line here.
#include "pruntrain/prune/allocation.hpp"
#include "pruntrain/prune/criterion.hpp"
#include "pruntrain/prune/granularity.hpp"
#include "pruntrain/prune/regrowth.hpp"
#include "pruntrain/prune/schedule.hpp"

// clang-format off
#define CRITERIA(member) \
    member(activation, "keeps the units or channels of largest mean absolute activation over a batch") \
    member(apoz, "keeps the units or channels that are seldom 0 over a batch") \
    member(batch_norm_scale, "keeps the channels with the largest scale in the batch-norm that follows") \
    member(fisher, "keeps the weights whose removal would raise the loss most, to second order, by squared gradients") \
    member(grasp, "keeps the weights that the norm of the gradient needs: for pruning before training") \
    member(magnitude, "keeps the weights of largest magnitude") \
    member(movement, "keeps the weights that training moves away from 0") \
    member(random, "keeps weights at random") \
    member(snip, "keeps the weights that change the loss of a batch most, as taylor: for pruning before training") \
    member(synflow, "keeps the weights through which most flows from the inputs to the outputs, without data") \
    member(taylor, "keeps the weights whose removal would change the loss of a batch most, to first order") \
    member(wood_fisher, "as fisher, with the covariances of squared gradients within blocks of weights")

#define ALLOCATIONS(member) \
    member(erdos_renyi, "small layers stay denser, by their inputs and outputs") \
    member(erk, "likewise, with the sides of convolution kernels") \
    member(global, "all weights of the network compete") \
    member(lamp, "all compete, by scores relative to their own layer") \
    member(per_layer, "a table of sparsities by layer") \
    member(uniform, "every layer keeps the same fraction")

#define GRANULARITIES(member) \
    member(block, "rectangles of a weight matrix (block sparsity)") \
    member(column, "all weights out of an input unit or channel") \
    member(n_m, "n of m neighbouring inputs of an output") \
    member(row, "all weights into a unit or channel") \
    member(weight, "single weights (unstructured)")

#define PRUNE_SCHEDULES(member) \
    member(ac_dc, "alternating sparse and dense phases, the last one sparse") \
    member(cubic, "fast at first, slow at the end") \
    member(exponential, "the same fraction of the remaining weights at each event") \
    member(linear, "the same number of weights at each event") \
    member(one_shot, "all at once") \
    member(rewinding, "after each of several trainings; the next one returns to an earlier step") \
    member(threshold, "as cubic, but weights with scores above a threshold remain")

#define REGROWTHS(member) \
    member(gradient, "where the gradient of a batch is largest, of inactive weights too (RigL)") \
    member(none, "pruned weights stay pruned") \
    member(random, "at random (SET)") \
    member(reserve, "at random, soft-pruned and trained until they are larger than weights in use (after Top-KAST)")
// clang-format on

namespace pruntrain {

#define DECLARE_CRITERION(name, meaning) std::unique_ptr<Criterion> make_##name(const Config&, std::uint64_t);
#define DECLARE_ALLOCATION(name, meaning) std::unique_ptr<Allocation> make_##name(const Config&);
#define DECLARE_GRANULARITY(name, meaning) std::unique_ptr<Granularity> make_##name(const Config&);
#define DECLARE_SCHEDULE(name, meaning) \
    std::unique_ptr<PruneSchedule> make_##name(const Config&, double, const RunLength&);
#define DECLARE_REGROWTH(name, meaning) \
    std::unique_ptr<Regrowth> make_##name(const Config&, std::uint64_t, const RunLength&);
#define LIST(name, meaning) {#name, make_##name, meaning},

CRITERIA(DECLARE_CRITERION)
ALLOCATIONS(DECLARE_ALLOCATION)
GRANULARITIES(DECLARE_GRANULARITY)
PRUNE_SCHEDULES(DECLARE_SCHEDULE)
REGROWTHS(DECLARE_REGROWTH)

const Registry<CriterionFactory>& criteria() {
    static const Registry<CriterionFactory> registry("prune criterion", {CRITERIA(LIST)});
    return registry;
}

const Registry<AllocationFactory>& allocations() {
    static const Registry<AllocationFactory> registry("prune allocation", {ALLOCATIONS(LIST)});
    return registry;
}

const Registry<GranularityFactory>& granularities() {
    static const Registry<GranularityFactory> registry("prune granularity", {GRANULARITIES(LIST)});
    return registry;
}

const Registry<PruneScheduleFactory>& prune_schedules() {
    static const Registry<PruneScheduleFactory> registry("prune schedule", {PRUNE_SCHEDULES(LIST)});
    return registry;
}

const Registry<RegrowthFactory>& regrowths() {
    static const Registry<RegrowthFactory> registry("regrowth", {REGROWTHS(LIST)});
    return registry;
}

}  // namespace pruntrain
