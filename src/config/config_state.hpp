// What all copies of a configuration share: the tree, where it comes from, and the record of the reads.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pruntrain/config/config.hpp"
#include "src/config/known_keys.hpp"
#include "src/config/renames.hpp"
#include "src/config/yaml_tree.hpp"

namespace pruntrain {

struct Read {
    Path path;
    std::string member;
    std::string type;
    std::string fallback;
    std::string allowed;
    std::string meaning;
    YAML::Node value;
    decltype(ResolvedKey::value) resolved;
};

/// A key that is read again, for instance when a network is rebuilt, keeps its position.
class Reads {
   public:
    void record(Read read) {
        const auto [known, is_new] = numbers_.try_emplace({read.path, read.member}, reads_.size());
        if (is_new) reads_.push_back(std::move(read));
        else reads_[known->second] = std::move(read);
    }
    auto begin() const { return reads_.begin(); }
    auto end() const { return reads_.end(); }

   private:
    std::vector<Read> reads_;
    std::map<std::pair<Path, std::string>, std::size_t> numbers_;
};

struct Config::State {
    YAML::Node root;
    std::string source;
    bool describing = false;
    Reads reads;
    std::string yaml;
    std::vector<std::string> assignments;               ///< of the command line
    std::vector<Path> overridden;                       ///< their paths: set on the command line, with all below them
    std::vector<std::pair<Path, std::string>> entered;  ///< sections that somebody looked into, with the member
    std::set<Path> optional;                            ///< sections that may be the word none
    std::optional<KnownKeys> known;                     ///< the keys that exist, if they have been described
    Renames renames;
    std::vector<std::string> notes;
    std::vector<std::string> notes_of_overrides;

    /// Makes the tree from the text and the command line, with the names that are known by now.
    void build();
    /// Takes away the optional sections that are empty or the word none.
    void remove_none();
    /// What the file says about something that the command line replaces: the keys of another member of a family, and
    /// the other form of a time.
    void leave_out_replaced(const Override& given);
    /// A section that begins with an anchor in the text, such as "defaults: &d".
    bool is_anchor(const Path& path) const;

    YAML::Node at(Path path, const std::string& key) const {
        path.push_back(key);
        return find(root, path);
    }
};

}  // namespace pruntrain
