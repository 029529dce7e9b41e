// The YAML tree of a configuration: paths in it, overrides of the command line, and what it may not have.
#pragma once

#include <yaml-cpp/yaml.h>

#include <string>
#include <vector>

namespace pruntrain {

/// Names of keys and indices of list entries, from the root on.
using Path = std::vector<std::string>;
Path with(Path path, const std::string& key);

/// The number of an entry of a list.
bool is_number_word(const std::string& word);

/// The node at a path, or an undefined node. A word where a map is expected is its `type`.
YAML::Node find(const YAML::Node& root, const Path& path);

/// The tree of a text, with its merge keys (`<<`) applied.
/// @throws InputError if it is no YAML, has several documents, or does not pass `check_tree`
YAML::Node load_tree(const std::string& yaml, const std::string& source);

/// What to say where "epochs:3" stands for "epochs: 3", which YAML takes for one word; "" if there is nothing to say.
std::string missing_blank(const std::string& words);

/// @throws InputError if a tree has a key twice, too many levels or values, or control characters
void check_tree(const YAML::Node& root, const std::string& source);

/// An assignment of the command line, "key.path=value".
struct Override {
    std::string assignment;  ///< as given, for messages
    Path path;
    YAML::Node value;
};
Override parse_override(const std::string& assignment);
/// Null as value takes the key away.
void apply_override(YAML::Node& root, const Override& given);

}  // namespace pruntrain
