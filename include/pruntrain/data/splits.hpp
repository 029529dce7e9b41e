// Which samples of the files are in which split.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "pruntrain/base/random.hpp"
#include "pruntrain/config/config.hpp"

namespace pruntrain {

enum class Split { train, validation, test };

/// The training files in random order, cut into the three splits; the test split is the test files if there are any.
class Splits {
   public:
    Splits() = default;
    /// Reads the keys, without the sizes of the files.
    explicit Splits(const Config& section);

    /// @param train_files  samples of the training files; 0: they are not read
    /// @throws InputError if no training samples are left, or there are two kinds of test samples
    void set_sizes(index_t train_files, index_t test_files);
    bool stratified() const { return stratified_; }
    /// Moves samples so that the classes are in proportion in each split.
    /// @param targets  of the training files, (sample, target); equal rows are a class
    void stratify(std::span<const float> targets, index_t target_width);

    index_t samples(Split split) const { return samples_[static_cast<std::size_t>(split)]; }
    /// True if the split consists of samples of the training files.
    bool in_train_files(Split split) const { return split != Split::test || !test_files_; }
    /// Index of a sample of a split in its files.
    index_t position(Split split, index_t sample) const;

   private:
    index_t count_of(double wanted, index_t train_files) const;

    double validation_ = 0, test_ = 0;  // samples, or below 1 a share
    std::uint64_t seed_ = 0;
    bool stratified_ = false, test_files_ = false;
    std::array<index_t, 3> samples_{};
    std::optional<Permutation> order_;  // of the training files, split into consecutive ranges; none: one split
    std::vector<std::uint32_t> moved_;  // replaces order_ if not empty
};

}  // namespace pruntrain
