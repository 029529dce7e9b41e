// All samples in memory shared by the ranks of a node.
#include "pruntrain/data/sample_store.hpp"

namespace pruntrain {

namespace {

class NodeStore final : public SampleStore {
   public:
    NodeStore(const SampleFiles& files, const Communicator& world, const Communicator& node)
        : sample_bytes_(files[Part::train].header.sample_bytes()) {
        for (std::size_t part = 0; part < windows_.size(); ++part)
            if (const index_t samples = files.parts[part].header.samples; samples > 0)
                windows_[part] = SharedWindow(node, static_cast<std::size_t>(samples) * sample_bytes_);
        world.rethrow_collectively([&] {
            for (std::size_t part = 0; part < windows_.size(); ++part)
                if (const auto& of_part = files.parts[part]; of_part.source)
                    of_part.source->read(0, of_part.header.samples, windows_[part].bytes(), of_part.targets);
        });
        for (const SharedWindow& window : windows_) window.publish();
    }

    std::size_t bytes_per_node() const override { return windows_[0].bytes().size() + windows_[1].bytes().size(); }

    void fetch(Part part, std::span<const index_t> samples, std::span<const std::byte*> features) override {
        const std::byte* const all = windows_[static_cast<std::size_t>(part)].bytes().data();
        for (std::size_t i = 0; i < samples.size(); ++i)
            features[i] = all + static_cast<std::size_t>(samples[i]) * sample_bytes_;
    }

   private:
    std::size_t sample_bytes_;
    std::array<SharedWindow, 2> windows_;
};

}  // namespace

std::unique_ptr<SampleStore> make_node_store(SampleFiles files, const Communicator& world, const Communicator& node) {
    return std::make_unique<NodeStore>(files, world, node);
}

}  // namespace pruntrain
