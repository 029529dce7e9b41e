// Samples stay in the files. Every rank reads those of its batches, one batch ahead, in a separate thread.
#include <future>

#include "pruntrain/base/error.hpp"
#include "pruntrain/data/sample_store.hpp"

namespace pruntrain {

namespace {

class DiskStore final : public CopyingStore {
   public:
    DiskStore(const SampleFiles& files, const Communicator& world) {
        set_sample_bytes(files[Part::train].header.sample_bytes());
        world.rethrow_collectively([&] {
            for (const Part part : {Part::train, Part::test}) {
                if (files[part].header.samples == 0) continue;
                auto& source = sources_[static_cast<std::size_t>(part)];
                source = files.format.open(part);
                if (const std::string reason = source->why_sequential(); !reason.empty())
                    input_error("data.residency is disk, but these files have no random access: ", reason,
                                "; allowed are format hdf5, and npy and idx without gzip; unpack or convert the "
                                "files, or set data.residency to node or shard");
                if (source->header() != files[part].header)
                    input_error("the data files have changed since they were opened: start the run again");
                if (files[part].source) files[part].source->read(0, source->header().samples, {}, files[part].targets);
            }
        });
    }

    std::size_t bytes_per_node() const override { return 0; }
    bool has_read_all() const override { return false; }

    void pause() override {
        if (reading_.valid()) reading_.wait();
    }

   private:
    void start_copy(SampleCopies& copies) override {
        const SampleSource& source = *sources_[static_cast<std::size_t>(copies.part)];
        reading_ = std::async(std::launch::async, [&] {
            copies.for_each_range([&](index_t first, index_t count, std::span<std::byte> features) {
                source.read(first, count, features, {});
            });
        });
    }

    void finish_copy() override { reading_.get(); }

    std::array<std::unique_ptr<SampleSource>, 2> sources_;
    std::future<void> reading_;  // last member: it is destroyed, and so waited for, before the buffers that it fills
};

}  // namespace

std::unique_ptr<SampleStore> make_disk_store(SampleFiles files, const Communicator& world, const Communicator&) {
    return std::make_unique<DiskStore>(files, world);
}

}  // namespace pruntrain
