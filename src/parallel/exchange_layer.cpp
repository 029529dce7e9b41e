#include "pruntrain/parallel/exchange_layer.hpp"

#include <algorithm>

#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

class ExchangeLayer final : public Layer {
   public:
    ExchangeLayer(const LayerPlace& place, bool last, const Communicator& shards)
        : Layer(place, {place.channels.total, place.input.rows, place.input.columns},
                ChannelBlock{0, place.channels.total}),
          last_(last),
          shards_(shards) {
        for (const index_t channel : place.channels.begins) begins_.push_back(channel * place.input.pixels());
    }

    std::string describe() const override {
        return text(last_ ? "gathers the outputs of " : "gathers from ", begins_.size() - 1, " shards");
    }

    index_t gathered(const Tiling& tiling) const override { return tiling.size(output_shape().size()); }
    std::size_t held_bytes(const Tiling& tiling) const override {
        return static_cast<std::size_t>(tiling.size(output_shape().size())) * sizeof(real);
    }

    void forward(const StepContext& step, const real* x, real* y, Workspace) override {
        const Tiling& tiling = step.tiling;
        if (tiling.tiles() == 0) return;
        const auto sizes = sizes_of(tiling);
        const std::span own(x, sizes[static_cast<std::size_t>(shards_.rank())]);
        if (tiling.tiles() == 1) {
            shards_.gather_blocks_to_all(own, std::span(y, total(tiling)), sizes);
            return;
        }
        const auto all = scratch(tiling);
        shards_.gather_blocks_to_all(own, all, sizes);
        for_each_piece(tiling, [&](index_t in_tiles, index_t in_blocks, index_t count) {
            std::copy_n(all.data() + in_blocks, count, y + in_tiles);
        });
    }

    void backward(const StepContext& step, const real*, const real*, const real* dy, real* dx, Workspace) override {
        const Tiling& tiling = step.tiling;
        if (tiling.tiles() == 0 || dx == nullptr) return;
        const auto sizes = sizes_of(tiling);
        const std::size_t rank = static_cast<std::size_t>(shards_.rank()), own = sizes[rank];
        if (last_) {
            const index_t features = output_shape().size(), count = begins_[rank + 1] - begins_[rank];
            for (index_t tile = 0; tile < tiling.tiles(); ++tile)
                std::copy_n(dy + (tile * features + begins_[rank]) * tiling.width, count * tiling.width,
                            dx + tile * count * tiling.width);
            return;
        }
        std::span<const real> all(dy, total(tiling));
        if (tiling.tiles() > 1) {
            const auto blocks = scratch(tiling);
            for_each_piece(tiling, [&](index_t in_tiles, index_t in_blocks, index_t count) {
                std::copy_n(dy + in_tiles, count, blocks.data() + in_blocks);
            });
            all = blocks;
        }
        shards_.sum_blocks(all, std::span(dx, own), sizes);
    }

   private:
    std::size_t total(const Tiling& tiling) const {
        return static_cast<std::size_t>(tiling.size(output_shape().size()));
    }
    std::span<real> scratch(const Tiling& tiling) {
        if (scratch_.size() < total(tiling)) scratch_.resize(total(tiling));
        return std::span(scratch_).first(total(tiling));
    }
    /// Numbers of each shard.
    std::vector<std::size_t> sizes_of(const Tiling& tiling) const {
        std::vector<std::size_t> sizes;
        for (std::size_t shard = 0; shard + 1 < begins_.size(); ++shard)
            sizes.push_back(static_cast<std::size_t>(tiling.size(begins_[shard + 1] - begins_[shard])));
        return sizes;
    }

    /// work(where the features of a shard in a tile begin: in (tile, feature, T) and in (shard, tile, feature, T),
    /// how many numbers they are)
    template <class Work>
    void for_each_piece(const Tiling& tiling, Work work) const {
        index_t in_blocks = 0;
        for (std::size_t shard = 0; shard + 1 < begins_.size(); ++shard) {
            const index_t count = (begins_[shard + 1] - begins_[shard]) * tiling.width;
            for (index_t tile = 0; tile < tiling.tiles(); ++tile, in_blocks += count)
                work((tile * output_shape().size() + begins_[shard]) * tiling.width, in_blocks, count);
        }
    }

    bool last_;
    Communicator shards_;
    std::vector<index_t> begins_;  // the first feature of each shard, and the number of all
    AlignedVector<real> scratch_;  // (shard, tile, feature, T)
};

}  // namespace

std::unique_ptr<Layer> make_exchange_layer(LayerPlace place, bool last, const Communicator& shards) {
    return std::make_unique<ExchangeLayer>(place, last, shards);
}

}  // namespace pruntrain
