// The samples of a run: split, normalized, and assembled in tiles.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/random.hpp"
#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/data/data_format.hpp"
#include "pruntrain/data/sample_store.hpp"
#include "pruntrain/math/tile.hpp"

namespace pruntrain {

enum class Split { train, validation, test };

/// x -> (x - mean) / std, one pair for all features or one per channel; the channels of a flat sample are its features.
struct Normalization {
    std::vector<double> mean{0};
    std::vector<double> deviation{1};
};

/// All samples, stored as `data.residency` says; targets are in memory shared by the ranks of a node. The train split
/// is the training files without `validation_samples` and, if there are no test files, without `test_samples`, drawn at
/// random with `split_seed`. The test split is the test files. Splits are the same on every rank, for any number of
/// ranks and any residency.
class Dataset {
   public:
    /// Collective over `world`; all ranks throw the same error.
    /// @param section  the `data` section
    Dataset(const Config& section, const Communicator& world);
    /// @param node  ranks treated as one node; they share memory
    Dataset(const Config& section, const Communicator& world, const Communicator& node);

    /// Reads the keys of the section and of all formats, for --describe.
    static void describe(const Config& section);

    const Shape& shape() const { return header_.shape; }
    index_t target_width() const { return header_.target_width; }
    index_t samples(Split split) const;
    /// In the order of their numbers; none if the targets are numbers without names.
    const std::vector<std::string>& class_names() const { return class_names_; }
    const Normalization& normalization() const { return normalization_; }
    /// Bytes of samples and targets; the maximum over the nodes.
    std::size_t bytes_per_node() const;
    const std::string& residency() const { return residency_; }

    /// Local, with the same outcome on all ranks.
    /// @throws InputError with file part, sample and label unless all targets are integers in 0 .. classes-1
    void check_classes(index_t classes) const;

    /// Gathers, normalizes and transposes samples. Local. A failure to read them is a fault, not an InputError, because
    /// they were readable when the data set was made.
    /// @param samples  indices within the split, 0 .. samples(split)-1; as many as `tiling.samples`
    /// @param x        set: (tile, feature, sample), padding lanes 0
    /// @param targets  set: (sample, target)
    void assemble(Split split, std::span<const index_t> samples, const Tiling& tiling, real* x, float* targets) const;

    /// True if `prefetch` has an effect.
    bool reads_ahead() const { return store_->reads_ahead(); }
    /// Local: starts to fetch samples that will be assembled, in one or several calls.
    void prefetch(Split split, std::span<const index_t> samples) const;
    /// Waits until no background read is in progress: HDF5 is not thread-safe.
    void pause_reading() const { store_->pause(); }

   private:
    index_t& samples_of(Part part) { return part_samples_[static_cast<std::size_t>(part)]; }
    index_t samples_of(Part part) const { return part_samples_[static_cast<std::size_t>(part)]; }
    std::span<float> targets_of(Part part) const;
    Part part_of(Split split) const;
    /// Index of a sample of a split in its part.
    index_t position(Split split, index_t sample) const;
    std::vector<index_t> positions(Split split, std::span<const index_t> samples) const;
    void set_splits(index_t validation_samples, index_t test_samples, std::uint64_t seed);
    template <class Stored>
    Normalization measure() const;
    template <class Stored>
    void assemble_from(Split split, std::span<const index_t> samples, const Tiling& tiling, real* x,
                       float* targets) const;

    SampleHeader header_;
    std::string residency_;
    std::vector<std::string> class_names_;
    std::array<index_t, 2> part_samples_{};  // of the training and the test files
    std::array<SharedWindow, 2> targets_;
    std::unique_ptr<SampleStore> store_;      // a read changes it, even of a const data set
    std::array<index_t, 3> split_samples_{};  // train, validation, test
    std::optional<Permutation>
        order_;  // of the training files, split into consecutive ranges; none: there is one split
    Normalization normalization_;
    std::vector<real> feature_mean_;   // per feature
    std::vector<real> feature_scale_;  // 1 / std
};

}  // namespace pruntrain
