// Where the features of samples are while the program runs: one member of this family per residency.
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

/// What a store is made from. One rank of each node has opened the files and fills the targets, which stay in the
/// memory of every node: they are small.
struct SampleFiles {
    struct OfPart {
        SampleHeader header;                   ///< 0 samples: there is no such part
        std::unique_ptr<SampleSource> source;  ///< on the root of each node
        std::span<float> targets;              ///< of all samples, in memory that the node shares
    };
    const DataFormat& format;
    std::array<OfPart, 2> parts;  ///< training and test files

    const OfPart& operator[](Part part) const { return parts[static_cast<std::size_t>(part)]; }
};

class SampleStore {
   public:
    virtual ~SampleStore() = default;

    /// For features; the largest of all nodes.
    virtual std::size_t bytes_per_node() const = 0;

    /// Local. Sets where the features of samples lie, each contiguous, until the next call of this or `prefetch`.
    /// @throws InputError if they cannot be read
    virtual void fetch(Part part, std::span<const index_t> samples, std::span<const std::byte*> features) = 0;

    /// Whether it is worth to say in advance what will be fetched.
    virtual bool reads_ahead() const { return false; }
    /// Local: starts to bring samples that will be fetched, also in several calls. Failures are thrown there.
    virtual void prefetch(Part, std::span<const index_t>) {}
    /// Waits until nothing is read in the background.
    virtual void pause() {}
};

/// Collective over `world`, of which `node` are the ranks that share memory; all throw alike.
using SampleStoreFactory = std::unique_ptr<SampleStore> (*)(SampleFiles files, const Communicator& world,
                                                            const Communicator& node);
const Registry<SampleStoreFactory>& sample_stores();

/// Samples in a buffer, ordered by number.
struct SampleCopies {
    Part part = Part::train;
    std::vector<index_t> samples;  ///< ascending, each once
    std::vector<std::byte> features;

    /// Makes room for samples.
    void reset(Part wanted_part, std::span<const index_t> wanted, std::size_t sample_bytes);
    /// Sets where samples lie. @return false if one is not here
    bool find(Part wanted_part, std::span<const index_t> wanted, std::span<const std::byte*> places) const;
    /// Calls `take` with first, count and memory of each range of neighbours.
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

/// A store that copies samples from elsewhere, a batch ahead of its use.
class CopyingStore : public SampleStore {
   public:
    void fetch(Part part, std::span<const index_t> samples, std::span<const std::byte*> features) final;
    bool reads_ahead() const final { return true; }
    void prefetch(Part part, std::span<const index_t> samples) final;

   protected:
    /// One copy is under way at a time.
    virtual void start_copy(SampleCopies& copies) = 0;
    virtual void finish_copy() = 0;
    /// Of the samples of all parts.
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
