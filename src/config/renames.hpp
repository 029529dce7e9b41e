// Old names of keys and old words of values: what older inputs and checkpoints say.
#pragma once

#include <string>
#include <vector>

#include "src/config/yaml_tree.hpp"

namespace pruntrain {

/// Renames of one configuration, in the order in which its reads declared them.
class Renames {
   public:
    struct Key {
        Path section;
        std::string old_name, name;
        friend bool operator==(const Key&, const Key&) = default;
    };
    struct Word {
        Path key;
        std::string old_word, word;
        friend bool operator==(const Word&, const Word&) = default;
    };
    void add(const Key& key);
    void add(const Word& word);

    /// Renames keys and words in a tree, in their places. @param source  for messages
    /// @throws InputError if a map has a key under both names
    void apply(const YAML::Node& root, const std::string& source) const;
    /// Likewise, in the path and the keys of an override. Words change when it has been applied to a tree.
    void apply(Override& override_) const;
    /// Likewise, in a path.
    void apply(Path& path) const;

   private:
    std::vector<Key> keys_;
    std::vector<Word> words_;
};

}  // namespace pruntrain
