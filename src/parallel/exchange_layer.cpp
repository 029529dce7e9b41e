#include "pruntrain/parallel/exchange_layer.hpp"

#include <algorithm>

#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

class ExchangeLayer : public Layer {
   public:
    ExchangeLayer(const LayerPlace& place, const Shape& output, const ChannelBlock& channels,
                  const Communicator& shards)
        : Layer(place, output, channels), shards_(shards) {
        for (const index_t channel : place.channels.offsets) offsets_.push_back(channel * place.input.pixels());
    }

    InPlace in_place() const override { return InPlace::never; }
    std::optional<std::vector<double>> of_constants(std::vector<double>) const override { return {}; }

   protected:
    static Shape whole(const LayerPlace& place) {
        return {place.channels.total, place.input.rows, place.input.columns};
    }
    static Shape part(const LayerPlace& place) {
        return {place.channels.of(place.shard.number).size, place.input.rows, place.input.columns};
    }
    std::size_t shards() const { return offsets_.size() - 1; }
    index_t features() const { return offsets_.back(); }  ///< over all shards

    /// all (tile, feature, T) = the features of all shards, from own, the features of this shard.
    void gather(const Tiling& tiling, const real* own, real* all) {
        if (tiling.tiles() == 0) return;
        const auto sizes = sizes_of(tiling);
        const std::span sent(own, sizes[rank()]);
        if (tiling.tiles() == 1) return shards_.all_gather_v(sent, std::span(all, total(tiling)), sizes);
        const auto blocks = scratch(tiling);
        shards_.all_gather_v(sent, blocks, sizes);
        for_each_piece(tiling, [&](index_t in_tiles, index_t in_blocks, index_t count) {
            std::copy_n(blocks.data() + in_blocks, count, all + in_tiles);
        });
    }

    /// own = this shard's features of the sum of `all` over the shards.
    void sum(const Tiling& tiling, const real* all, real* own) {
        if (tiling.tiles() == 0) return;
        const auto sizes = sizes_of(tiling);
        std::span<const real> terms(all, total(tiling));
        if (tiling.tiles() > 1) {
            const auto blocks = scratch(tiling);
            for_each_piece(tiling, [&](index_t in_tiles, index_t in_blocks, index_t count) {
                std::copy_n(all + in_tiles, count, blocks.data() + in_blocks);
            });
            terms = blocks;
        }
        shards_.reduce_scatter(terms, std::span(own, sizes[rank()]), sizes);
    }

    /// own = this shard's features of `all`.
    void take(const Tiling& tiling, const real* all, real* own) const {
        const index_t first = offsets_[rank()] * tiling.width, count = offsets_[rank() + 1] * tiling.width - first;
        for (index_t tile = 0; tile < tiling.tiles(); ++tile)
            std::copy_n(all + tile * features() * tiling.width + first, count, own + tile * count);
    }

    std::size_t total(const Tiling& tiling) const { return static_cast<std::size_t>(tiling.size(features())); }
    const Communicator& ranks() const { return shards_; }

    std::size_t held_bytes(const Tiling& tiling) const override { return total(tiling) * sizeof(real); }

   private:
    std::size_t rank() const { return static_cast<std::size_t>(shards_.rank()); }
    std::span<real> scratch(const Tiling& tiling) {
        if (scratch_.size() < total(tiling)) scratch_.resize(total(tiling));
        return std::span(scratch_).first(total(tiling));
    }
    /// Number of elements of each shard.
    std::vector<std::size_t> sizes_of(const Tiling& tiling) const {
        std::vector<std::size_t> sizes;
        for (std::size_t shard = 0; shard < shards(); ++shard)
            sizes.push_back(static_cast<std::size_t>(tiling.size(offsets_[shard + 1] - offsets_[shard])));
        return sizes;
    }

    /// work(offset of the features of a shard in a tile, in (tile, feature, T) and in (shard, tile, feature, T), number
    /// of elements)
    template <class Work>
    void for_each_piece(const Tiling& tiling, Work work) const {
        index_t in_blocks = 0;
        for (std::size_t shard = 0; shard < shards(); ++shard) {
            const index_t count = (offsets_[shard + 1] - offsets_[shard]) * tiling.width;
            for (index_t tile = 0; tile < tiling.tiles(); ++tile, in_blocks += count)
                work((tile * features() + offsets_[shard]) * tiling.width, in_blocks, count);
        }
    }

    Communicator shards_;
    std::vector<index_t> offsets_;  // the first feature of each shard, and the total
    AlignedVector<real> scratch_;   // (shard, tile, feature, T)
};

class Gather final : public ExchangeLayer {
   public:
    Gather(const LayerPlace& place, bool last, const Communicator& shards)
        : ExchangeLayer(place, whole(place), {0, place.channels.total, {}, place.channels.configured}, shards),
          last_(last) {}

    std::string describe() const override {
        return text(last_ ? "all-gather of the outputs of " : "all-gather from ", shards(), " shards");
    }
    Exchanged exchanged(const Tiling& tiling) const override {
        return {tiling.size(features()), last_ ? 0 : tiling.size(features())};
    }

    void forward(const StepContext& step, const real* x, real* y, Workspace) override { gather(step.tiling, x, y); }
    void backward(const StepContext& step, const real*, const real*, const real* dy, real* dx, Gradients,
                  Workspace) override {
        if (dx == nullptr) return;
        if (last_) take(step.tiling, dy, dx);
        else sum(step.tiling, dy, dx);
    }

   private:
    bool last_;
};

class Sum final : public ExchangeLayer {
   public:
    Sum(const LayerPlace& place, const Communicator& shards)
        : ExchangeLayer(place, part(place), place.channels, shards) {}

    std::string describe() const override { return text("reduce-scatter of partial sums of ", shards(), " shards"); }
    Exchanged exchanged(const Tiling& tiling) const override {
        return {tiling.size(features()), tiling.size(features())};
    }

    void forward(const StepContext& step, const real* x, real* y, Workspace) override { sum(step.tiling, x, y); }
    void backward(const StepContext& step, const real*, const real*, const real* dy, real* dx, Gradients,
                  Workspace) override {
        if (dx != nullptr) gather(step.tiling, dy, dx);
    }
};

class SumOfOutputs final : public ExchangeLayer {
   public:
    SumOfOutputs(const LayerPlace& place, const Communicator& shards)
        : ExchangeLayer(place, whole(place), {0, place.channels.total, {}, place.channels.configured}, shards) {}

    std::string describe() const override { return text("all-reduce of the outputs of ", shards(), " shards"); }
    Exchanged exchanged(const Tiling& tiling) const override { return {2 * tiling.size(features()), 0}; }

    void forward(const StepContext& step, const real* x, real* y, Workspace) override {
        std::copy_n(x, total(step.tiling), y);
        ranks().all_reduce_sum(std::span(y, total(step.tiling)));
    }
    void backward(const StepContext& step, const real*, const real*, const real* dy, real* dx, Gradients,
                  Workspace) override {
        if (dx != nullptr) std::copy_n(dy, total(step.tiling), dx);
    }
};

}  // namespace

std::unique_ptr<Layer> make_exchange_layer(const LayerPlace& place, Network::Exchange what, bool last,
                                           const Communicator& shards) {
    if (what == Network::Exchange::gather) return std::make_unique<Gather>(place, last, shards);
    if (last) return std::make_unique<SumOfOutputs>(place, shards);
    return std::make_unique<Sum>(place, shards);
}

}  // namespace pruntrain
