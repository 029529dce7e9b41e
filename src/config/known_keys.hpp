// The keys that exist, and what to say about one that does not.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "src/config/renames.hpp"
#include "src/config/yaml_tree.hpp"

namespace pruntrain {

/// The keys that a configuration can have, from one that was described.
class KnownKeys {
   public:
    /// @param member  "type: adam" of the member of a family that reads the key; "": always read
    void add(const Path& path, const std::string& member) { members_[path].insert(member); }
    /// A section; its keys are added separately.
    void add_section(const Path& path) { sections_.insert(path); }
    /// A section that may be the word none.
    void add_optional(const Path& path) { optional_.insert(path); }
    void add_old_names(const Renames& renames) { renames_ = renames; }

    bool has(const Path& path) const { return members_.contains(present(path)); }
    bool has_section(const Path& path) const { return sections_.contains(present(path)); }
    const std::set<Path>& optional() const { return optional_; }
    /// The first key of a tree that does not exist.
    std::optional<Path> first_unknown(const YAML::Node& root) const;
    /// Keys and sections, by their names of today.
    std::set<Path> all() const;

    /// Whether a key belongs to other members than the one that this override chooses.
    bool is_replaced(const Path& key, const Override& given) const;

   private:
    /// With the names of today, 0 for each index, and a placeholder (LAYER) for a name that the user chooses.
    Path present(Path path) const;

    std::map<Path, std::set<std::string>> members_;
    std::set<Path> sections_, optional_;
    Renames renames_;
};

/// What to write instead of an unknown key: "; did you mean optimizer.learning_rate?", or the keys that are known
/// there.
std::string hint_for(const Path& unknown, const std::set<Path>& known);

/// Removes from a tree the other form of a time that the command line sets: start_epoch where that has start_step.
/// @return its path; empty if there is none
Path remove_other_form(const YAML::Node& root, const Path& given);

}  // namespace pruntrain
