// Regrowth: each layer drops some weights and activates as many others (dynamic sparse training).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pruntrain/base/registry.hpp"
#include "pruntrain/comm/grid.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/model/model_hash.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/optim/learning_rate.hpp"
#include "pruntrain/prune/criterion.hpp"
#include "pruntrain/prune/scored.hpp"
#include "pruntrain/prune/traits.hpp"

namespace pruntrain {

/// When, how many, and which weights become active. A pure function of the step and of what `score` sees.
class Regrowth {
   public:
    /// Reads the keys of all members.
    Regrowth(const Config& config, const RunLength& length);
    virtual ~Regrowth() = default;

    /// An event at step s happens after s updates: each interval after the start, up to the end, not after the last
    /// update of the run; with a reserve one at the end too, in any case.
    bool event_at(index_t step) const;
    index_t start_step() const { return start_; }
    /// New weights are a reserve of soft-pruned weights (SoftPrunedWeights); the number of weights in use stays the
    /// same. The last event leaves no reserve.
    virtual bool soft_prunes() const = 0;
    /// Of all members.
    Traits traits() const;
    /// The fraction of each layer's remaining weights that is dropped and replaced, or added as a reserve.
    double fraction_at(index_t step) const;

    /// What the arena's gradients must be when `score` is called; null: it looks at none.
    virtual const ScoreInput* score_input() const { return nullptr; }
    /// Sets the scores of all positions of a tensor: those of the highest become active. Local; must be
    /// the same on every rank that holds the position.
    /// @param places  of a full pattern
    virtual void score(Scored& places, index_t step) const = 0;

    std::string describe() const;  ///< "30 % regrow at random (cosine) from step 430 to 12900, every 100 steps"

   protected:
    virtual std::string how() const = 0;  ///< "at random"

   private:
    double fraction_;
    bool cosine_;
    index_t start_, end_, every_, last_update_;
};

/// @param seed  run.seed
using RegrowthFactory = std::unique_ptr<Regrowth> (*)(const Config&, std::uint64_t seed, const RunLength&);
const Registry<RegrowthFactory>& regrowths();

/// One event, alike on all replicas: of the prunable layers that have lost weights each drops its n weights of smallest
/// magnitude, n = floor(fraction x kept), then takes the n best of all places that are now free, including those just
/// dropped (Mocanu et al. 2018, "SET", algorithm 2; Evci et al. 2020, "RigL", algorithm 1, as in the authors'
/// program, google-research/rigl, sparse_optimizers.py). A weight that is dropped and chosen again keeps its value; a
/// new one is 0, with an optimizer state of 0. Counts are over all shards; of equals the smaller weight number is
/// chosen.
///
/// With a reserve, a layer keeps the best of its weights and of its reserve, as many as it had without the reserve. The
/// new weights are the new reserve.
class RegrowEvent {
   public:
    /// Chooses the weights that are dropped. Collective.
    RegrowEvent(const Regrowth& regrowth, index_t step, Network& network, const Grid& grid);

    bool empty() const { return layers_.empty(); }

    /// Before gradients are computed: these layers get all their weights, the new ones 0. Their optimizer state is
    /// moved later.
    void densify();

    /// Chooses the weights that become active, and gives the arena that layout. Collective.
    /// @return the hash of the model, after a check that all ranks have the same
    /// @throws std::runtime_error naming the ranks that differ
    ModelHash grow();

   private:
    struct Layer {
        std::size_t parameter;  ///< its number in the arena
        index_t count;          ///< weights that become active, over all shards
        Pattern stay;           ///< without the dropped ones
    };

    const Regrowth& regrowth_;
    index_t step_;
    Network& network_;
    const Grid& grid_;
    std::vector<index_t> kept_;  ///< of each parameter after the event, over all shards
    std::vector<Layer> layers_;
};

}  // namespace pruntrain
