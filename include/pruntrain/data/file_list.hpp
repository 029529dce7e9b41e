// Data in several files: lists and patterns of names, and their samples as those of one file.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pruntrain/data/data_format.hpp"

namespace pruntrain {

/// The names that a key of the configuration has: one, a list, or patterns with * ? [..]; files are not looked up yet.
class FileList {
   public:
    FileList() = default;
    /// @param fallback  none: the key is required; "": no files
    FileList(const Config& config, const std::string& directory, const std::string& key,
             const std::optional<std::string>& fallback, const std::string& meaning);

    bool empty() const { return names_.empty(); }
    const std::string& place() const { return place_; }
    /// The paths, patterns expanded in natural order: part_2 before part_10. A name of an existing file is no pattern.
    /// @throws InputError if a pattern matches nothing
    std::vector<std::string> paths() const;

   private:
    std::string directory_;
    std::vector<std::string> names_;
    std::string place_;  // of the key, for messages
};

/// The order of names in which digits compare as whole numbers.
bool natural_less(const std::string& one, const std::string& other);

/// Makes the warnings of a source notes of the configuration, once.
void note_warnings(const SampleSource& source, const Config& config);

/// The samples of several sources, one after the other. Their warnings become notes of the configuration, once.
/// @throws InputError naming two sources whose samples have different shapes or types
std::unique_ptr<SampleSource> concatenate(std::vector<std::unique_ptr<SampleSource>> sources, const Config& config);

}  // namespace pruntrain
