// Regrowth: of each layer some weights go, and as many others come back (dynamic sparse training).
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

namespace pruntrain {

/// When, how many, and which weights come back. A pure function of the step and of what `score` sees.
class Regrowth {
   public:
    /// Reads the keys of all members.
    Regrowth(const Config& config, const RunLength& length);
    virtual ~Regrowth() = default;

    /// An event at step s happens after s updates: each interval after the start, up to the end, not after the last
    /// update of the run; with a reserve one at the end too, in any case.
    bool event_at(index_t step) const;
    index_t start_step() const { return start_; }
    /// What comes back is a reserve of hidden weights (SoftPrunedWeights) beside the layer's own, which stay as many.
    /// The last event leaves none.
    virtual bool soft_prunes() const { return false; }
    /// The part of each layer's kept weights that goes and comes back, or is added as a reserve.
    double fraction_at(index_t step) const;

    /// What the arena's gradients must be when `score` is called; null: it looks at none.
    virtual const ScoreInput* score_input() const { return nullptr; }
    /// Sets the scores of all positions of a tensor: the highest of those that are not kept come back. Local; must be
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
/// magnitude, n = floor(fraction x kept), then takes the n best of all places that are now free, those just dropped
/// among them (Mocanu et al. 2018, "SET", algorithm 2; Evci et al. 2020, "RigL", algorithm 1, as in the authors'
/// program, google-research/rigl, sparse_optimizers.py). A weight that was just dropped and comes back is as it was; a
/// new one is 0, with slots of 0. Counts are over all shards; of equals the smaller weight number stays or comes.
///
/// With a reserve, of its weights and its reserve's a layer keeps as many as it had without the reserve, and those that
/// come are the new reserve.
class RegrowEvent {
   public:
    /// Chooses what goes. Collective.
    RegrowEvent(const Regrowth& regrowth, index_t step, Network& network, const Grid& grid);

    bool empty() const { return layers_.empty(); }

    /// Ahead of finding gradients: these layers get all their weights, the new ones 0. Their optimizer slots wait.
    void densify();

    /// Chooses what comes back, and lays the arena out so. Collective.
    /// @return the hash of the model, after a check that all ranks have the same
    /// @throws std::runtime_error naming the ranks that differ
    ModelHash grow();

   private:
    struct Layer {
        std::size_t parameter;  ///< its number in the arena
        index_t count;          ///< weights that come, over all shards
        Pattern stay;           ///< without those that go
    };

    const Regrowth& regrowth_;
    index_t step_;
    Network& network_;
    const Grid& grid_;
    std::vector<index_t> kept_;  ///< of each parameter after the event, over all shards
    std::vector<Layer> layers_;
};

}  // namespace pruntrain
