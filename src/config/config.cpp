#include "pruntrain/config/config.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "src/config/config_state.hpp"
#include "src/config/scalars.hpp"

namespace pruntrain {

bool Range::contains(double value) const {
    return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
}

std::string Range::describe() const {
    const bool bounded_below = std::isfinite(low), bounded_above = std::isfinite(high);
    if (bounded_below && bounded_above)
        return text(exact(low), low_open ? " < x " : " <= x ", high_open ? "< " : "<= ", exact(high));
    if (bounded_below) return text(low_open ? "> " : ">= ", exact(low));
    if (bounded_above) return text(high_open ? "< " : "<= ", exact(high));
    return "any";
}

namespace {

std::string scalar_text(const YAML::Node& node) {
    if (node.IsScalar()) return node.Scalar();
    YAML::Emitter out;
    out << YAML::Flow << node;
    return out.c_str();
}

}  // namespace

Config::Config(std::shared_ptr<State> state, std::vector<std::string> path, std::string member)
    : state_(std::move(state)), path_(std::move(path)), member_(std::move(member)) {}

Config Config::parse(const std::string& yaml, const std::string& source, const std::vector<std::string>& overrides) {
    auto state = std::make_shared<State>();
    state->source = source;
    state->yaml = yaml;
    state->assignments = overrides;
    state->build();
    return {std::move(state), {}, ""};
}

Config Config::describing() {
    auto state = std::make_shared<State>();
    state->describing = true;
    state->root = YAML::Node(YAML::NodeType::Map);
    return {std::move(state), {}, ""};
}

bool Config::is_describing() const { return state_->describing; }

Config Config::section(const std::string& key) const {
    const YAML::Node node = state_->at(path_, key);
    if (node.IsDefined() && !node.IsMap() && !node.IsScalar() && !node.IsNull())
        input_error(place_of(key), " must be a map of keys, or one word for its type");
    state_->entered.emplace_back(with(path_, key), member_);
    return {state_, with(path_, key), member_};
}

bool Config::has(const std::string& key) const { return state_->describing || state_->at(path_, key).IsDefined(); }

bool Config::has_section(const std::string& key) const {
    const Path path = with(path_, key);
    state_->entered.emplace_back(path, member_);
    if (state_->optional.insert(path).second && !state_->describing) state_->build();
    return has(key);
}

std::vector<Config> Config::list(const std::string& key) const {
    state_->entered.emplace_back(with(path_, key), member_);
    if (state_->describing) return {Config(state_, with(with(path_, key), "0"), member_)};
    const YAML::Node node = state_->at(path_, key);
    if (!node.IsSequence()) input_error(place_of(key), " must be a list");
    std::vector<Config> entries;
    for (std::size_t i = 0; i < node.size(); ++i)
        entries.push_back(Config(state_, with(with(path_, key), std::to_string(i)), member_));
    return entries;
}

std::vector<std::string> Config::keys() const {
    std::vector<std::string> names;
    const YAML::Node node = find(state_->root, path_);
    if (node.IsMap())
        for (const auto& entry : node) names.push_back(entry.first.Scalar());
    return names;
}

Config Config::member(const std::string& name) const { return {state_, path_, name}; }

void Config::alias(const std::string& key, const std::string& old_name) const {
    state_->renames.add(Renames::Key{path_, old_name, key});
    if (!state_->at(path_, old_name).IsDefined()) return;
    state_->notes.push_back(text(place_of(old_name), " is now ", path_of(key), ": write that"));
    state_->build();
}

void Config::alias_word(const std::string& key, const std::string& word, const std::string& old_word) const {
    state_->renames.add(Renames::Word{with(path_, key), old_word, word});
    const YAML::Node node = state_->at(path_, key);
    if (!node.IsDefined() || !node.IsScalar() || node.Scalar() != old_word) return;
    state_->notes.push_back(text(place_of(key), ": ", old_word, " is now ", word, ": write that"));
    state_->build();
}

void Config::note(const std::string& text) const { state_->notes.push_back(text); }

std::vector<std::string> Config::notes() const {
    std::vector<std::string> all = state_->notes;
    all.insert(all.end(), state_->notes_of_overrides.begin(), state_->notes_of_overrides.end());
    return all;
}

void Config::check_keys(const Config& description) const {
    KnownKeys known;
    for (const auto& one : description.state_->reads) known.add(one.path, one.member);
    for (const auto& [path, member] : description.state_->entered) known.add_section(path);
    known.add_old_names(description.state_->renames);
    state_->optional = description.state_->optional;
    state_->known = std::move(known);
    state_->build();
    if (const auto unknown = state_->known->first_unknown(state_->root)) reject_unknown(*unknown, state_->known->all());
    for (const auto& path : state_->overridden)  // also those that are taken away
        if (!state_->known->has(path) && !state_->known->has_section(path) && !is_number_word(path.back()))
            reject_unknown(path, state_->known->all());
    for (const auto& [path, member] : description.state_->entered) {
        const YAML::Node node = find(state_->root, path);
        if (node.IsDefined() && node.IsScalar() && !state_->known->has(with(path, "type")))
            input_error(Config(state_, Path(path.begin(), path.end() - 1), "").place_of(path.back()), " is '",
                        scalar_text(node), "': expected a ", path == Path{"model"} ? "list" : "map of keys",
                        missing_blank(scalar_text(node)));
    }
}

void Config::reject_unknown(const std::vector<std::string>& path,
                            const std::set<std::vector<std::string>>& known) const {
    const Path parent(path.begin(), path.end() - 1);
    const Config at_parent(state_, parent, "");
    input_error("unknown key ", at_parent.place_of(path.back()), ": no part of this configuration reads it",
                hint_for(path, known),
                state_->is_anchor(path) ? text("; a section that only holds an anchor is named x-", path.back(),
                                               ": top-level keys that begin with x- are ignored")
                                        : "",
                " (--describe lists all keys)");
}

std::string Config::with_present_names(const std::string& yaml) const {
    const YAML::Node root = YAML::Load(yaml);
    state_->renames.apply(root, "a configuration of an earlier run");
    YAML::Emitter out;
    out << root;
    return std::string(out.c_str()) + "\n";
}

std::string Config::path_of(const std::string& key) const { return join(with(path_, key), "."); }

std::string Config::place_of(const std::string& key) const {
    const Path path = with(path_, key);
    for (const auto& given : state_->overridden)
        if (given.size() <= path.size() && std::equal(given.begin(), given.end(), path.begin()))
            return text(path_of(key), " (command line)");
    YAML::Mark mark = YAML::Mark::null_mark();
    const YAML::Node node = state_->at(path_, key);
    if (node.IsDefined()) mark = node.Mark();
    const YAML::Node map = find(state_->root, path_);
    if (map.IsDefined() && map.IsMap())  // the key's own place: a map begins only after it, and a copy has none
        for (const auto& entry : map)
            if (entry.first.Scalar() == key && !entry.first.Mark().is_null()) mark = entry.first.Mark();
    if (mark.is_null()) return path_of(key);
    return text(path_of(key), " (", state_->source, ", line ", mark.line + 1, ")");
}

namespace {

/// What the typed reads share: find, convert, check, record. `convert` gives nothing where the node has another type.
template <class T>
struct ReadRequest {
    std::string type;
    std::string allowed;
    std::string meaning;
    std::optional<T> fallback;
    T sample;  ///< for a required key while describing
    std::function<std::optional<T>(const YAML::Node&)> convert;
    std::function<bool(const T&)> is_allowed;
    std::function<YAML::Node(const T&)> node;
};

template <class T>
const T& as_resolved(const T& value) {
    return value;
}
std::string as_resolved(const std::vector<std::string>& words) { return join(words); }

/// For a share of 1 that was given in percent.
template <class T>
std::string share_hint(const T& value, const std::function<bool(const T&)>& is_allowed) {
    if constexpr (std::is_same_v<T, double>) {
        const double share = value / 100;
        if (value > 1 && share <= 1 && is_allowed(share)) return text("; ", exact(share), " is ", exact(value), " %");
    }
    return "";
}

template <class T>
T read(bool describing, const YAML::Node& node, const std::string& place, const Path& path, const std::string& member,
       Reads& reads, const ReadRequest<T>& request) {
    T value = request.fallback.value_or(request.sample);
    if (node.IsDefined()) {
        if (node.IsNull()) input_error(place, " has no value: expected ", request.type);
        const auto converted = request.convert(node);
        if (!converted)
            input_error(place, " is '", scalar_text(node), "': expected ", request.type, ", ", request.allowed,
                        missing_blank(scalar_text(node)), node.IsScalar() ? number_hint(node.Scalar()) : "");
        value = *converted;
        if (!request.is_allowed(value))
            input_error(place, " is ", scalar_text(node), ": allowed is ", request.allowed, " (", request.meaning, ")",
                        share_hint(value, request.is_allowed));
    } else if (!request.fallback && !describing) {
        input_error(place, " is missing: ", request.type, ", ", request.allowed, " (", request.meaning, ")");
    }
    const std::string fallback = request.fallback ? scalar_text(request.node(*request.fallback)) : "required";
    reads.record({path, member, request.type, fallback, request.allowed, request.meaning, request.node(value),
                  as_resolved(value)});
    return value;
}

std::optional<double> to_number(const YAML::Node& node) {
    double value = 0;
    if (!node.IsScalar()) return std::nullopt;
    if (const auto whole = whole_number(node.Scalar())) return static_cast<double>(*whole);
    if (!YAML::convert<double>::decode(node, value)) return std::nullopt;
    return value;
}

YAML::Node number_node(double value) { return YAML::Node(exact(value)); }

/// YAML words that would read back as something else (null, empty) are quoted by the emitter already.
YAML::Node word_node(const std::string& value) { return YAML::Node(value); }

}  // namespace

index_t Config::integer(const std::string& key, std::optional<index_t> fallback, const Range& range,
                        const std::string& meaning) const {
    ReadRequest<index_t> request{"whole number",
                                 range.describe(),
                                 meaning,
                                 fallback,
                                 std::isfinite(range.low) ? static_cast<index_t>(range.low) + 1 : 1,
                                 {},
                                 {},
                                 {}};
    request.convert = [](const YAML::Node& node) -> std::optional<index_t> {
        if (!node.IsScalar()) return std::nullopt;
        if (const auto whole = whole_number(node.Scalar())) return whole;
        const auto value = to_number(node);  // 1e5 is a whole number too
        if (!value || *value != std::floor(*value) || std::abs(*value) > 0x1p53) return std::nullopt;
        return static_cast<index_t>(*value);
    };
    request.is_allowed = [&](const index_t& value) { return range.contains(static_cast<double>(value)); };
    request.node = [](const index_t& value) { return YAML::Node(std::to_string(value)); };
    return read(state_->describing, state_->at(path_, key), place_of(key), with(path_, key), member_, state_->reads,
                request);
}

double Config::number(const std::string& key, std::optional<double> fallback, const Range& range,
                      const std::string& meaning) const {
    ReadRequest<double> request{
        "number", range.describe(), meaning, fallback, std::isfinite(range.high) ? range.high / 2 : 1.0, to_number,
        {},       number_node};
    request.is_allowed = [&](const double& value) { return std::isfinite(value) && range.contains(value); };
    return read(state_->describing, state_->at(path_, key), place_of(key), with(path_, key), member_, state_->reads,
                request);
}

bool Config::flag(const std::string& key, std::optional<bool> fallback, const std::string& meaning) const {
    ReadRequest<bool> request{"true or false", "true or false", meaning, fallback, false, {}, {}, {}};
    request.convert = [](const YAML::Node& node) -> std::optional<bool> {
        bool value = false;
        if (!node.IsScalar() || !YAML::convert<bool>::decode(node, value)) return std::nullopt;
        return value;
    };
    request.is_allowed = [](const bool&) { return true; };
    request.node = [](const bool& value) { return YAML::Node(value ? "true" : "false"); };
    return read(state_->describing, state_->at(path_, key), place_of(key), with(path_, key), member_, state_->reads,
                request);
}

namespace {

std::optional<std::string> to_word(const YAML::Node& node) {
    if (!node.IsScalar()) return std::nullopt;
    return node.Scalar();
}

}  // namespace

std::string Config::word(const std::string& key, std::optional<std::string> fallback,
                         const std::string& meaning) const {
    const ReadRequest<std::string> request{
        "text", "any", meaning, fallback, "name", to_word, [](const std::string&) { return true; }, word_node};
    return read(state_->describing, state_->at(path_, key), place_of(key), with(path_, key), member_, state_->reads,
                request);
}

std::string Config::path(const std::string& key, std::optional<std::string> fallback,
                         const std::string& meaning) const {
    return expanded_path(word(key, std::move(fallback), meaning), place_of(key));
}

std::vector<std::string> Config::paths(const std::string& key, std::optional<std::vector<std::string>> fallback,
                                       const std::string& meaning) const {
    std::vector<std::string> all = words(key, std::move(fallback), meaning);
    for (std::string& one : all) one = expanded_path(one, place_of(key));
    return all;
}

std::string Config::choice(const std::string& key, std::optional<std::string> fallback,
                           const std::vector<std::string>& allowed, const std::string& meaning) const {
    ReadRequest<std::string> request{"word",   join(allowed, " | "), meaning, fallback, allowed.front(), to_word, {},
                                     word_node};
    request.is_allowed = [&](const std::string& value) {
        if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return true;
        const std::string near = nearest(value, allowed);
        input_error(place_of(key), " is '", value, "'", near.empty() ? "" : text(" (did you mean '", near, "'?)"),
                    ": allowed is ", request.allowed);
    };
    return read(state_->describing, state_->at(path_, key), place_of(key), with(path_, key), member_, state_->reads,
                request);
}

std::vector<double> Config::numbers(const std::string& key, std::optional<std::vector<double>> fallback,
                                    const Range& range, const std::string& meaning) const {
    ReadRequest<std::vector<double>> request{"list of numbers", range.describe(), meaning, fallback, {1.0}, {}, {}, {}};
    request.convert = [](const YAML::Node& node) -> std::optional<std::vector<double>> {
        std::vector<double> values;
        if (node.IsScalar()) {
            const auto value = to_number(node);
            if (!value) return std::nullopt;
            return std::vector{*value};
        }
        if (!node.IsSequence()) return std::nullopt;
        for (const auto& entry : node) {
            const auto value = to_number(entry);
            if (!value) return std::nullopt;
            values.push_back(*value);
        }
        return values;
    };
    request.is_allowed = [&](const std::vector<double>& values) {
        return std::all_of(values.begin(), values.end(),
                           [&](double value) { return std::isfinite(value) && range.contains(value); });
    };
    request.node = [](const std::vector<double>& values) {
        YAML::Node node(YAML::NodeType::Sequence);
        for (const double value : values) node.push_back(exact(value));
        node.SetStyle(YAML::EmitterStyle::Flow);
        return node;
    };
    return read(state_->describing, state_->at(path_, key), place_of(key), with(path_, key), member_, state_->reads,
                request);
}

std::vector<std::string> Config::words(const std::string& key, std::optional<std::vector<std::string>> fallback,
                                       const std::string& meaning) const {
    using Words = std::vector<std::string>;
    ReadRequest<Words> request{"text or list of texts", "any", meaning, std::move(fallback), {"name"}, {}, {}, {}};
    request.convert = [](const YAML::Node& node) -> std::optional<Words> {
        Words values;
        if (node.IsScalar()) return Words{node.Scalar()};
        if (!node.IsSequence()) return std::nullopt;
        for (const auto& entry : node) {
            if (!entry.IsScalar()) return std::nullopt;
            values.push_back(entry.Scalar());
        }
        return values;
    };
    request.is_allowed = [](const Words&) { return true; };
    request.node = [](const Words& values) {
        if (values.size() == 1) return word_node(values.front());
        YAML::Node node(YAML::NodeType::Sequence);
        for (const auto& value : values) node.push_back(value);
        node.SetStyle(YAML::EmitterStyle::Flow);
        return node;
    };
    return read(state_->describing, state_->at(path_, key), place_of(key), with(path_, key), member_, state_->reads,
                request);
}

void Config::finish() const {
    std::set<Path> read_paths, known;
    for (const auto& [path, member] : state_->entered) known.insert(path);
    for (const auto& one : state_->reads) read_paths.insert(one.path);
    known.insert(read_paths.begin(), read_paths.end());

    const std::function<void(const YAML::Node&, const Path&)> visit = [&](const YAML::Node& node, const Path& path) {
        if (read_paths.count(path) || (node.IsNull() && known.count(path))) return;
        if (node.IsScalar() && read_paths.count(with(path, "type"))) return;
        const bool is_container = node.IsMap() || node.IsSequence();
        if (is_container && (known.count(path) || path.empty() || is_number_word(path.back()))) {
            if (node.IsMap())
                for (const auto& entry : node) visit(entry.second, with(path, entry.first.Scalar()));
            else
                for (std::size_t i = 0; i < node.size(); ++i) visit(node[i], with(path, std::to_string(i)));
            return;
        }
        reject_unknown(path, known);
    };
    visit(state_->root, {});
}

namespace {

/// Sets node[path...] = value, making maps, and lists where `given` has some, on the way; keys in the order of first
/// use.
void insert(YAML::Node node, const YAML::Node& given, const Path& path, std::size_t depth, const YAML::Node& value) {
    if (depth + 1 == path.size()) {
        node[path[depth]] = value;
        return;
    }
    const YAML::Node given_child = find(given, {path[depth]});
    YAML::Node child;
    if (node.IsSequence()) {
        const std::size_t place = std::stoul(path[depth]);
        if (place == node.size()) node.push_back(YAML::Node(YAML::NodeType::Map));
        child.reset(node[place]);
        child.SetStyle(YAML::EmitterStyle::Flow);
    } else {
        if (!node[path[depth]].IsDefined() || node[path[depth]].IsNull())
            node[path[depth]] = YAML::Node(given_child.IsSequence() ? YAML::NodeType::Sequence : YAML::NodeType::Map);
        child.reset(node[path[depth]]);
    }
    insert(child, given_child, path, depth + 1, value);
}

}  // namespace

std::string Config::resolved() const {
    YAML::Node tree(YAML::NodeType::Map);
    for (const auto& one : state_->reads) insert(tree, state_->root, one.path, 0, YAML::Clone(one.value));
    YAML::Emitter out;
    out << tree;
    return std::string(out.c_str()) + "\n";
}

std::vector<ResolvedKey> Config::resolved_keys() const {
    std::vector<ResolvedKey> keys;
    for (const auto& one : state_->reads)
        if (one.path.size() > path_.size() && std::equal(path_.begin(), path_.end(), one.path.begin()))
            keys.push_back({join(Path(one.path.begin() + std::ssize(path_), one.path.end()), "."), one.resolved});
    return keys;
}

std::string Config::describe() const {
    std::string out;
    std::set<std::pair<Path, std::string>> printed;
    for (const auto& one : state_->reads) {
        if (!printed.insert({one.path, one.member}).second) continue;
        Path path = one.path;
        for (auto& name : path)
            if (is_number_word(name)) name = "[]";
        out +=
            text(join(path, "."), one.member.empty() ? "" : text("   (", one.member, ")"), "\n    ", one.meaning,
                 "\n    ", one.type, one.allowed == one.type ? "" : text(", ", one.allowed), "; ",
                 one.fallback == "required" ? "required" : text("default ", one.fallback.empty() ? "''" : one.fallback),
                 "\n");
    }
    return out;
}

}  // namespace pruntrain
