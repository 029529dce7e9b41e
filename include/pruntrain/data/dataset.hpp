// The samples of a run: split, normalized, and assembled in tiles.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/range.hpp"
#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/data/checked_source.hpp"
#include "pruntrain/data/class_labels.hpp"
#include "pruntrain/data/data_format.hpp"
#include "pruntrain/data/sample_store.hpp"
#include "pruntrain/data/splits.hpp"
#include "pruntrain/math/tile.hpp"

namespace pruntrain {

/// All samples, stored as `data.residency` says; targets are in memory shared by the ranks of a node. The train split
/// is the training files without those held out, drawn at random with `split_seed`; the test split is the test files,
/// if there are any. Splits are the same on every rank, for any number of ranks and any residency. No value is NaN.
/// Large because files, splits, targets and normalization are known here alone, and batches need all of them.
class Dataset {
   public:
    /// Collective over `world`; all ranks throw the same error.
    /// @param section  the `data` section
    /// @param needs    without `training` normalization must be given, and without `targets` there must be test files
    Dataset(const Config& section, const Communicator& world, const DataNeeds& needs = {});
    /// @param node  ranks treated as one node; they share memory
    Dataset(const Config& section, const Communicator& world, const Communicator& node, const DataNeeds& needs = {});

    /// Reads the keys of the section and of all formats, for --describe.
    static void describe(const Config& section);

    const Shape& shape() const { return header_.shape; }
    /// The shape with its file, and what to set if images are meant in another order of dimensions, for messages.
    std::string describe_shape() const;
    /// Values per target, 1 for one-hot rows that have become classes.
    index_t target_width() const { return targets_are_ == Targets::one_hot ? 1 : header_.target_width; }
    index_t samples(Split split) const { return splits_.samples(split); }
    bool has_targets() const { return targets_are_ != Targets::absent; }
    /// In the order of their numbers; none if the targets are numbers without names.
    const std::vector<std::string>& class_names() const { return class_names_; }
    /// Of the features, in order; none if the files do not name them.
    const std::vector<std::string>& input_names() const { return input_names_; }
    const Normalization& normalization() const { return normalization_; }
    /// Bytes of samples and targets; the maximum over the nodes.
    std::size_t bytes_per_node() const;
    const std::string& residency() const { return residency_; }

    /// Local, with the same outcome on all ranks.
    /// @throws InputError with file, sample, label and what to do unless all targets are labels of `classes` classes
    /// @param outputs  of the network; 1 for two classes, if the loss needs no more
    void check_classes(index_t classes, index_t outputs) const;
    void check_classes(index_t classes) const { check_classes(classes, classes); }
    /// The targets are values, not classes. @throws InputError if a key says how labels become classes
    void check_values() const;
    /// The targets are probabilities of the classes, one per column. If all are 0 or 1, they become class labels.
    /// @throws InputError with file and sample of a row that does not sum to 1
    void use_probabilities();
    /// The name of a class, or its label in the files.
    std::string label(index_t index) const;
    /// Notes and warnings about values and classes, one line each. Local, with the same result on all ranks.
    /// @param classes  0 for a regression
    std::vector<std::string> notes(index_t classes) const;

    /// Reads the validation and test samples that the residency leaves in the files, a part on each rank: a wrong value
    /// would else be found after the first epoch, or after all of them. Collective.
    void check_held_out(const Communicator& world) const;

    /// Gathers, normalizes and transposes samples. Local. A wrong value is a LocalInputError. Any other failure to read
    /// them is a fault, because they were readable when the data set was made.
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
    /// One-hot targets are stored as rows of 0 and a single 1, and used as classes.
    enum class Targets { absent, as_stored, one_hot };
    index_t& samples_of(Part part) { return part_samples_[static_cast<std::size_t>(part)]; }
    index_t samples_of(Part part) const { return part_samples_[static_cast<std::size_t>(part)]; }
    std::span<float> targets_of(Part part) const;
    Part part_of(Split split) const;
    std::vector<index_t> positions(Split split, std::span<const index_t> samples) const;
    using Sources = std::array<std::unique_ptr<SampleSource>, 2>;
    /// Fills the store. Collective.
    /// @param sources  opened here if null
    void load(Sources sources, const CheckedFormat& format, const Communicator& world, const Communicator& node);
    /// One rank measures, so that mean and std are bit-identical everywhere. @return true if the store must be filled
    /// again, because inputs have offsets
    bool measure_normalization(const CheckedFormat& format, bool wide, const Communicator& world);
    /// The class of a sample of a part; after `check_classes`.
    index_t class_of(Part part, index_t position) const;
    /// The class of a sample is one that the network does not have.
    [[noreturn]] void refuse_name(Part part, std::size_t sample, index_t found, index_t classes, index_t outputs) const;
    std::vector<index_t> class_sizes(Split split, index_t classes) const;
    /// Copies or converts the target of a sample. @return the end of what it has set
    float* take_target(const float* stored, float* targets) const;
    template <class Stored>
    Normalization measure() const;
    template <class Take>
    void for_each_piece(Split split, const Block& block, const Take& take) const;
    template <class Stored>
    void assemble_from(Split split, std::span<const index_t> samples, const Tiling& tiling, real* x,
                       float* targets) const;

    SampleHeader header_;
    std::string residency_;
    std::vector<std::string> class_names_, input_names_;
    std::array<std::vector<float>, 2>
        class_maps_;                         // of the words in each part's files to the classes; on a node's root
    std::array<index_t, 2> part_samples_{};  // of the training and the test files
    std::array<SharedWindow, 2> targets_;
    std::array<SampleNames, 2> names_;
    std::string layout_hint_;
    std::unique_ptr<SampleStore> store_;  // a read changes it, even of a const data set
    Splits splits_;
    ClassLabels labels_;
    Targets targets_are_;
    Offsets offsets_;  // per channel, subtracted from the stored inputs; empty: none
    Normalization normalization_;
    std::vector<real> feature_mean_;   // per feature
    std::vector<real> feature_scale_;  // 1 / std
};

}  // namespace pruntrain
