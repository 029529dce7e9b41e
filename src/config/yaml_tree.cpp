#include "src/config/yaml_tree.hpp"

#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>

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
        std::map<std::string, int> lines;
        for (const auto& entry : node) {
            const int line = entry.first.Mark().line + 1;
            if (!entry.first.IsScalar()) input_error(source, " line ", line, ": a key is not a word");
            const std::string& name = entry.first.Scalar();
            const auto [first, is_new] = lines.try_emplace(name, line);
            if (!is_new)
                input_error(source, " line ", line, ": key '", shown(name), "' is given twice, before in line ",
                            first->second, name == "<<" ? ": write <<: [*one, *other]" : ": leave one of them out");
        }
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

std::string missing_blank(const std::string& words) {
    static const std::regex form("(^|[\\s{,])([A-Za-z_][A-Za-z0-9_]*:[^\\s:/,}\\]'\"\\\\][^\\s,}\\]]*)");
    constexpr std::size_t longest = 1000;  // the library's matching is recursive
    std::smatch found;
    if (words.size() > longest || !std::regex_search(words, found, form)) return "";
    return text("; a blank is missing after the colon in '", shown(found.str(2)), "'");
}

namespace {

/// The lines around an error, in which a blank may be missing.
std::string missing_blank_near(const std::string& yaml, int line) {
    std::istringstream lines(yaml);
    std::string words;
    for (int number = 0; number <= line && std::getline(lines, words); ++number)
        if (number >= line - 1)
            if (std::string found = missing_blank(words); !found.empty()) return found;
    return "";
}

/// Adds to each map with `<<` what the maps named there have and it has not; of several maps the first one wins.
void merge_maps(const YAML::Node& node, const std::string& source) {
    if (node.IsSequence())
        for (const auto& entry : node) merge_maps(entry, source);
    if (!node.IsMap()) return;
    for (const auto& entry : node) merge_maps(entry.second, source);  // they may have merges of their own
    const YAML::Node merged = node["<<"];
    if (!merged.IsDefined()) return;
    std::set<std::string> given;
    for (const auto& entry : node) given.insert(entry.first.Scalar());
    YAML::Node map = node;
    const auto add = [&](const YAML::Node& from) {
        if (!from.IsMap())
            input_error(source, " line ", merged.Mark().line + 1,
                        ": the merge key << takes a map or a list of maps, such as <<: *name or <<: [*one, *other]");
        for (const auto& entry : from)
            if (given.insert(entry.first.Scalar()).second) map.force_insert(entry.first, entry.second);
    };
    if (merged.IsSequence())
        for (const auto& one : merged) add(one);
    else add(merged);
    map.remove("<<");
}

/// Where the document begins that a parser reads; the rest of it is left out.
struct DocumentStart : YAML::EventHandler {
    YAML::Mark mark = YAML::Mark::null_mark();

    void OnDocumentStart(const YAML::Mark& start) override { mark = start; }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
    void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
    void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
    void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnMapEnd() override {}
};

/// Rejects a text of which yaml-cpp 0.7 takes nothing, such as ",": YAML::LoadAll makes empty documents of it without
/// end.
void check_progress(const std::string& yaml) {
    std::istringstream stream(yaml);
    YAML::Parser parser(stream);
    DocumentStart document;
    for (int last = -1; parser.HandleNextDocument(document); last = document.mark.pos)
        if (document.mark.pos == last) throw YAML::ParserException(document.mark, "a key or a value should begin here");
}

}  // namespace

YAML::Node load_tree(const std::string& yaml, const std::string& source) {
    const auto nul = yaml.find('\0');  // the parser would take it for the end of the file
    if (nul != std::string::npos)
        input_error(source, " line ",
                    1 + std::count(yaml.begin(), yaml.begin() + static_cast<std::ptrdiff_t>(nul), '\n'),
                    " has a NUL byte: allowed is text in UTF-8; save the file as UTF-8, if it is text in UTF-16");
    std::vector<YAML::Node> documents;
    try {
        check_progress(yaml);
        documents = YAML::LoadAll(yaml);
    } catch (const YAML::Exception& error) {
        const bool has_tab = yaml.find('\t') != std::string::npos;
        input_error(source, " is no valid YAML: ", error.what(), missing_blank_near(yaml, error.mark.line),
                    has_tab ? "; it has tabs: YAML takes only blanks for indentation" : "");
    }
    YAML::Node root;
    bool found = false;
    for (const auto& document : documents) {
        if (document.IsNull()) continue;  // after a last '---'
        if (found)
            input_error(source, " line ", document.Mark().line + 1,
                        ": a second YAML document begins ('---'), and a configuration is one document: remove it, or "
                        "give it a file of its own");
        root.reset(document);
        found = true;
    }
    check_tree(root, source);
    merge_maps(root, source);
    return root;
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
    if (path.front().starts_with("x-"))
        input_error(
            "override '", assignment,
            "' has no effect: top-level keys that begin with x- are ignored, they only hold anchors; set the key "
            "that uses the anchor");
    const std::string value = assignment.substr(equals + 1);
    if (value.find_first_not_of(" \t\r\n") == std::string::npos)
        input_error("override '", assignment,
                    "' has no value: give one, '' for an empty text, or null to take the key ", "away");
    return {assignment, std::move(path), load_tree(value, text("override '", assignment, "'"))};
}

namespace {

/// A copy of the containers on the path to the value; all else is shared. So an override changes nothing where another
/// part of the tree is an alias of the same map.
YAML::Node with_override(const YAML::Node& node, const Override& given, std::size_t depth) {
    const Path& path = given.path;
    if (depth == path.size()) return given.value;
    const std::string& name = path[depth];
    if (name.empty()) input_error("override '", given.assignment, "': an empty name in the key");
    const bool takes_away = given.value.IsNull();
    const bool last = depth + 1 == path.size();
    if (node.IsDefined() && node.IsSequence()) {
        if (!is_number_word(name) || name.size() > 6 || std::stoul(name) >= node.size())
            input_error("override '", given.assignment, "': '", name, "' must be a number below ", node.size(),
                        ", the length of the list");
        if (takes_away && last)
            input_error("override '", given.assignment,
                        "': null takes a key away, not an entry of a list: give the whole list");
        YAML::Node list(YAML::NodeType::Sequence);
        for (std::size_t i = 0; i < node.size(); ++i) {
            const YAML::Node entry = node[i];
            list.push_back(i == std::stoul(name) ? with_override(entry, given, depth + 1) : entry);
        }
        return list;
    }
    YAML::Node map(YAML::NodeType::Map);
    bool found = false;
    if (node.IsDefined() && node.IsMap())
        for (const auto& entry : node) {
            const bool is_it = entry.first.Scalar() == name;
            found = found || is_it;
            if (is_it && last && takes_away) continue;
            map.force_insert(entry.first, is_it ? with_override(entry.second, given, depth + 1) : entry.second);
        }
    // "criterion: magnitude" is short for its type: keep it when another of its keys is set
    if (node.IsDefined() && node.IsScalar()) {
        found = name == "type" && last;
        if (!found) map.force_insert(std::string("type"), node);
        else if (!takes_away) map.force_insert(name, given.value);
    }
    const YAML::Node nothing(YAML::NodeType::Undefined);
    if (!found && !takes_away) map.force_insert(name, with_override(nothing, given, depth + 1));
    return map;
}

}  // namespace

void apply_override(YAML::Node& root, const Override& given) { root.reset(with_override(root, given, 0)); }

}  // namespace pruntrain
