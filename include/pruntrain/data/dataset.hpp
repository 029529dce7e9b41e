// The samples of a run: split, normalised, and handed out in tiles.
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

/// x -> (x - mean) / deviation, one pair for all features or one for each channel; a flat sample's features are
/// channels.
struct Normalization {
    std::vector<double> mean{0};
    std::vector<double> deviation{1};
};

/// All samples, wherever `data.residency` has them; targets are in memory that the ranks of a node share. Splits: the
/// training files less `validation_samples` (and, if there are no test files, `test_samples`), drawn at random by
/// `split_seed`; the test files. All of it is alike on every rank, for any number of ranks and any residency.
class Dataset {
   public:
    /// Collective over `world`; all throw alike.
    /// @param section  the `data` section
    Dataset(const Config& section, const Communicator& world);
    /// @param node  the ranks that are taken for a node; they share memory
    Dataset(const Config& section, const Communicator& world, const Communicator& node);

    /// Reads the keys of the section and of all formats, for --describe.
    static void describe(const Config& section);

    const Shape& shape() const { return header_.shape; }
    index_t target_width() const { return header_.target_width; }
    index_t samples(Split split) const;
    const Normalization& normalization() const { return normalization_; }
    /// Of samples and targets; the largest of all nodes.
    std::size_t bytes_per_node() const;
    const std::string& residency() const { return residency_; }

    /// Local, with the same outcome on all ranks.
    /// @throws InputError naming file part, sample and label unless all targets are whole numbers in 0 .. classes-1
    void check_classes(index_t classes) const;

    /// Gathers, normalises and transposes samples. Local. A failure to read them is a fault, not an InputError: they
    /// were there when the data set was made.
    /// @param samples  numbers within the split, 0 .. samples(split)-1; as many as `tiling.samples`
    /// @param x        set: (tile, feature, sample), padding lanes 0
    /// @param targets  set: (sample, target)
    void assemble(Split split, std::span<const index_t> samples, const Tiling& tiling, real* x, float* targets) const;

    /// Whether `prefetch` does anything.
    bool reads_ahead() const { return store_->reads_ahead(); }
    /// Local: starts to bring samples that will be assembled, also by several calls.
    void prefetch(Split split, std::span<const index_t> samples) const;
    /// Waits until nothing is read in the background: HDF5 has room for one thread.
    void pause_reading() const { store_->pause(); }

   private:
    index_t& samples_of(Part part) { return part_samples_[static_cast<std::size_t>(part)]; }
    index_t samples_of(Part part) const { return part_samples_[static_cast<std::size_t>(part)]; }
    std::span<float> targets_of(Part part) const;
    Part part_of(Split split) const;
    /// Where in its part a sample of a split lies.
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
    std::array<index_t, 2> part_samples_{};  // of the training and the test files
    std::array<SharedWindow, 2> targets_;
    std::unique_ptr<SampleStore> store_;      // moves with every read, also of a const data set
    std::array<index_t, 3> split_samples_{};  // train, validation, test
    std::optional<Permutation> order_;        // of the training files, cut into splits; none: all are one split
    Normalization normalization_;
    std::vector<real> feature_mean_;   // of each feature
    std::vector<real> feature_scale_;  // 1 / deviation
};

}  // namespace pruntrain
