// Where the features of samples are stored during a run: one member of this family per residency.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/registry.hpp"
#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/data/data_format.hpp"

namespace pruntrain {

/// The input of a store. One rank of each node has opened the files and fills the targets. Targets are small, so every
/// node holds all of them.
struct SampleFiles {
    struct OfPart {
        SampleHeader header;  ///< the same of both parts but for `samples`; 0 samples: there is no such part
        std::unique_ptr<SampleSource> source;  ///< on the root of each node
        std::span<float> targets;              ///< of all samples, in memory shared by the node
    };
    const DataFormat& format;
    std::array<OfPart, 2> parts;  ///< training and test files

    const OfPart& operator[](Part part) const { return parts[static_cast<std::size_t>(part)]; }
};

class SampleStore {
   public:
    virtual ~SampleStore() = default;

    /// Bytes of features; the maximum over the nodes.
    virtual std::size_t bytes_per_node() const = 0;

    /// Local. Sets pointers to the features of samples, each contiguous, valid until the next `fetch` or `prefetch`.
    /// @throws InputError if they cannot be read
    virtual void fetch(Part part, std::span<const index_t> samples, std::span<const std::byte*> features) = 0;

    /// False if inputs are read, and so checked, only when they are fetched.
    virtual bool has_read_all() const { return true; }
    /// True if `prefetch` has an effect.
    virtual bool reads_ahead() const { return false; }
    /// Local: starts to bring samples that will be fetched, in one or several calls. `fetch` throws its errors.
    virtual void prefetch(Part, std::span<const index_t>) {}
    /// Waits until no background read is in progress.
    virtual void pause() {}
};

/// Collective over `world`; `node` are its ranks that share memory. All ranks throw the same error.
using SampleStoreFactory = std::unique_ptr<SampleStore> (*)(SampleFiles files, const Communicator& world,
                                                            const Communicator& node);
const Registry<SampleStoreFactory>& sample_stores();

/// Samples in a buffer, ordered by index.
struct SampleCopies {
    Part part = Part::train;
    std::vector<index_t> samples;  ///< ascending, without duplicates
    std::vector<std::byte> features;

    /// Allocates the buffer for these samples.
    void reset(Part wanted_part, std::span<const index_t> wanted, std::size_t sample_bytes);
    /// Sets pointers to samples. @return false if one is missing
    bool find(Part wanted_part, std::span<const index_t> wanted, std::span<const std::byte*> places) const;
    /// Calls `take` with first, count and memory of each contiguous range.
    template <class Take>
    void for_each_range(const Take& take) {
        for (std::size_t begin = 0, end = 0; begin < samples.size(); begin = end) {
            for (end = begin + 1; end < samples.size() && samples[end] == samples[end - 1] + 1;) ++end;
            const std::size_t sample_bytes = features.size() / samples.size();
            take(samples[begin], static_cast<index_t>(end - begin),
                 std::span(features).subspan(begin * sample_bytes, (end - begin) * sample_bytes));
        }
    }
};

/// A store that copies samples from elsewhere, one batch ahead of its use.
class CopyingStore : public SampleStore {
   public:
    void fetch(Part part, std::span<const index_t> samples, std::span<const std::byte*> features) final;
    bool reads_ahead() const final { return true; }
    void prefetch(Part part, std::span<const index_t> samples) final;

   protected:
    /// At most one copy is in progress.
    virtual void start_copy(SampleCopies& copies) = 0;
    virtual void finish_copy() = 0;
    /// The maximum over all parts.
    void set_sample_bytes(std::size_t bytes) { sample_bytes_ = bytes; }
    std::size_t sample_bytes() const { return sample_bytes_; }

   private:
    void start(SampleCopies& copies, Part part, std::span<const index_t> samples);
    void finish();

    std::size_t sample_bytes_ = 0;
    SampleCopies ahead_, now_;
    bool under_way_ = false;
};

}  // namespace pruntrain
