#include "src/config/yaml_tree.hpp"

#include <algorithm>
#include <set>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

Path with(Path path, const std::string& key) {
    path.push_back(key);
    return path;
}

namespace {

/// Rejects duplicate keys, which YAML forbids and of which yaml-cpp drops the second; aliases that contain themselves
/// or expand to too many values; and characters that no name of a file or layer can have.
/// @param values  counts the values visited so far
void check_tree(const YAML::Node& node, const std::string& source, index_t& values, int depth = 0) {
    constexpr int deepest = 100;  // a configuration has five levels; this is far from the end of the stack
    constexpr index_t most_values = 1'000'000;  // the longest list is one number for each of data.mean's channels
    if (depth > deepest)
        input_error(source, " line ", node.Mark().line + 1, ": nested deeper than ", deepest,
                    " levels, or an alias is inside of what it names");
    if (++values > most_values)
        input_error(source, " has more than ", most_values, " values, with the values of aliases counted each time");
    if (node.IsScalar() && !is_plain_text(node.Scalar()))
        input_error(source, " line ", node.Mark().line + 1,
                    ": a key or value has a control character or is no UTF-8: allowed is text of one line");
    if (node.IsMap()) {
        std::set<std::string> seen;
        for (const auto& entry : node)
            if (!entry.first.IsScalar() || !seen.insert(entry.first.Scalar()).second)
                input_error(source, " line ", entry.first.Mark().line + 1, ": key '",
                            entry.first.IsScalar() ? shown(entry.first.Scalar()) : "(not a word)",
                            "' is given twice or is not a word");
        for (const auto& entry : node) check_tree(entry.first, source, values, depth + 1);
        for (const auto& entry : node) check_tree(entry.second, source, values, depth + 1);
    }
    if (node.IsSequence())
        for (const auto& entry : node) check_tree(entry, source, values, depth + 1);
}

}  // namespace

void check_tree(const YAML::Node& root, const std::string& source) {
    index_t values = 0;
    check_tree(root, source, values);
}

bool is_number_word(const std::string& word) {
    constexpr std::size_t longest = 9;  // digits, of the place in a list
    return !word.empty() && word.size() <= longest &&
           std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

namespace {

Path split(const std::string& dotted) {
    Path path(1);
    for (const char c : dotted) {
        if (c == '.') path.emplace_back();
        else path.back() += c;
    }
    return path;
}

}  // namespace

YAML::Node find(const YAML::Node& root, const Path& path) {
    YAML::Node node;
    node.reset(root);
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (node.IsMap()) {
            const YAML::Node& map = node;
            const YAML::Node next = map[path[i]];
            if (!next.IsDefined()) return YAML::Node(YAML::NodeType::Undefined);
            node.reset(next);
        } else if (node.IsSequence() && is_number_word(path[i]) && std::stoul(path[i]) < node.size()) {
            const YAML::Node& sequence = node;
            node.reset(sequence[std::stoul(path[i])]);
        } else if (node.IsScalar() && path[i] == "type" && i + 1 == path.size()) {
            return node;
        } else {
            return YAML::Node(YAML::NodeType::Undefined);
        }
    }
    return node;
}

Override parse_override(const std::string& assignment) {
    const auto equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0)
        input_error("override '", assignment, "' is not of the form key.path=value");
    Path path = split(assignment.substr(0, equals));
    YAML::Node value;
    try {
        value = YAML::Load(assignment.substr(equals + 1));
    } catch (const YAML::Exception& error) {
        input_error("override '", assignment, "': the value is no YAML: ", error.what());
    }
    check_tree(value, text("override '", assignment, "',"));
    return {assignment, std::move(path), value};
}

void apply_override(YAML::Node& root, const Override& override_) {
    const auto& [assignment, path, value] = override_;
    YAML::Node node;
    node.reset(root);
    for (std::size_t i = 0; i < path.size(); ++i) {
        const bool last = i + 1 == path.size();
        if (path[i].empty()) input_error("override '", assignment, "': an empty name in the key");
        YAML::Node next;
        if (node.IsSequence()) {
            if (!is_number_word(path[i]) || path[i].size() > 6 || std::stoul(path[i]) >= node.size())
                input_error("override '", assignment, "': '", path[i], "' must be a number below ", node.size(),
                            ", the length of the list");
            next.reset(node[std::stoul(path[i])]);
        } else {
            // "criterion: magnitude" is short for its type: keep it when another of its keys is set
            if (node.IsScalar()) {
                const std::string type = node.Scalar();
                node = YAML::Node(YAML::NodeType::Map);
                node["type"] = type;
            }
            next.reset(node[path[i]]);
        }
        if (last) next = value;
        node.reset(next);
    }
}

}  // namespace pruntrain
