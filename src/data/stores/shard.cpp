// Each node holds a block of the samples in shared memory and gets the others from the nodes that hold them.
#include <algorithm>

#include "pruntrain/base/range.hpp"
#include "pruntrain/comm/remote_window.hpp"
#include "pruntrain/data/sample_store.hpp"

namespace pruntrain {

namespace {

/// The nodes, by the world rank of their first rank, which exposes their samples.
struct Nodes {
    std::vector<int> roots;
    index_t own = 0;
    index_t count = 0;

    Nodes(const Communicator& world, const Communicator& node) {
        int root = world.rank();
        node.broadcast(std::span(&root, 1));
        const auto root_of = world.all_gather(static_cast<std::uint64_t>(root));
        roots.assign(root_of.begin(), root_of.end());
        std::ranges::sort(roots);
        roots.erase(std::unique(roots.begin(), roots.end()), roots.end());
        own = std::ranges::lower_bound(roots, root) - roots.begin();
        count = static_cast<index_t>(roots.size());
    }
};

class ShardStore final : public CopyingStore {
   public:
    ShardStore(const SampleFiles& files, const Communicator& world, const Communicator& node) : nodes_(world, node) {
        set_sample_bytes(files[Part::train].header.sample_bytes());
        for (std::size_t part = 0; part < shards_.size(); ++part) {
            Shard& shard = shards_[part];
            shard.samples = files.parts[part].header.samples;
            if (shard.samples == 0) continue;
            shard.block = even_block(shard.samples, nodes_.own, nodes_.count);
            // With more nodes than samples a block may be empty, but a window must not be.
            shard.window = SharedWindow(node, bytes_of(std::max<index_t>(shard.block.size, 1)));
        }
        world.rethrow_collectively([&] {
            for (std::size_t part = 0; part < shards_.size(); ++part) {
                const auto& of_part = files.parts[part];
                if (!of_part.source) continue;
                const Block& block = shards_[part].block;
                if (block.size > 0) of_part.source->read(block.first, block.size, shards_[part].window.bytes(), {});
                of_part.source->read(0, of_part.header.samples, {}, of_part.targets);
            }
        });
        for (Shard& shard : shards_) {
            shard.window.publish();
            if (shard.samples == 0 || nodes_.count == 1) continue;
            shard.shown = RemoteWindow(world, node.is_root() ? shard.window.bytes() : std::span<std::byte>{});
        }
    }

    std::size_t bytes_per_node() const override {
        std::size_t bytes = 0;
        for (const Shard& shard : shards_) bytes += bytes_of((shard.samples + nodes_.count - 1) / nodes_.count);
        return bytes;
    }

   private:
    struct Shard {
        index_t samples = 0;  // of all nodes
        Block block;          // of this node
        SharedWindow window;
        RemoteWindow shown;
    };

    void start_copy(SampleCopies& copies) override {
        Shard& shard = shards_[static_cast<std::size_t>(copies.part)];
        copies.for_each_range([&](index_t first, index_t count, std::span<std::byte> features) {
            while (count > 0) {  // a range may span several nodes
                const index_t holder = ((first + 1) * nodes_.count - 1) / shard.samples;
                const Block block = even_block(shard.samples, holder, nodes_.count);
                const index_t here = std::min(count, block.first + block.size - first);
                const std::size_t offset = bytes_of(first - block.first);
                const auto to = features.first(bytes_of(here));
                if (holder == nodes_.own)
                    std::ranges::copy(shard.window.bytes().subspan(offset, to.size()), to.begin());
                else shard.shown.start_get(nodes_.roots[holder], offset, to);
                features = features.subspan(to.size());
                first += here;
                count -= here;
            }
        });
    }

    void finish_copy() override {
        for (Shard& shard : shards_) shard.shown.finish();
    }

    std::size_t bytes_of(index_t samples) const { return static_cast<std::size_t>(samples) * sample_bytes(); }

    Nodes nodes_;
    std::array<Shard, 2> shards_;
};

}  // namespace

std::unique_ptr<SampleStore> make_shard_store(SampleFiles files, const Communicator& world, const Communicator& node) {
    return std::make_unique<ShardStore>(files, world, node);
}

}  // namespace pruntrain
