#include "src/config/renames.hpp"

#include <algorithm>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

template <class T>
void add_once(std::vector<T>& all, const T& one) {
    if (std::ranges::find(all, one) == all.end()) all.push_back(one);
}

bool begins_with(const Path& path, const Path& beginning) {
    return path.size() >= beginning.size() && std::equal(beginning.begin(), beginning.end(), path.begin());
}

/// @param place  where a key of the map is, for messages
template <class Place>
void rename_key(const YAML::Node& map, const Renames::Key& rename, const Place& place) {
    if (!map.IsDefined() || !map.IsMap()) return;
    YAML::Node old_key(YAML::NodeType::Undefined), key(YAML::NodeType::Undefined);
    for (const auto& entry : map) {
        if (entry.first.Scalar() == rename.old_name) old_key.reset(entry.first);
        if (entry.first.Scalar() == rename.name) key.reset(entry.first);
    }
    if (!old_key.IsDefined()) return;
    const std::string old_path = join(with(rename.section, rename.old_name), ".");
    if (key.IsDefined())
        input_error(old_path, place(old_key), " and ", join(with(rename.section, rename.name), "."), place(key),
                    " are both given, but they are the old and the new name of one key: leave ", old_path, " out");
    old_key = rename.name;
}

}  // namespace

void Renames::add(const Key& key) { add_once(keys_, key); }
void Renames::add(const Word& word) { add_once(words_, word); }

void Renames::apply(const YAML::Node& root, const std::string& source) const {
    const auto place = [&](const YAML::Node& key) { return text(" (", source, ", line ", key.Mark().line + 1, ")"); };
    for (const Key& key : keys_) rename_key(find(root, key.section), key, place);
    for (const Word& word : words_) {
        YAML::Node value = find(root, word.key);
        if (value.IsDefined() && value.IsScalar() && value.Scalar() == word.old_word) value = word.word;
    }
}

void Renames::apply(Path& path) const {
    for (const Key& key : keys_)
        if (begins_with(path, with(key.section, key.old_name))) path[key.section.size()] = key.name;
}

void Renames::apply(Override& override_) const {
    Path& path = override_.path;
    for (const Key& key : keys_) {
        if (begins_with(path, with(key.section, key.old_name))) path[key.section.size()] = key.name;
        if (!begins_with(key.section, path)) continue;
        const Path inside(key.section.begin() + std::ssize(path), key.section.end());
        rename_key(find(override_.value, inside), key, [](const YAML::Node&) { return " (command line)"; });
    }
}

}  // namespace pruntrain
