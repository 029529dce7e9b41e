#include "src/config/config_state.hpp"

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

void Config::State::build() {
    root.reset(load_tree(yaml, source));
    if (!root.IsMap())
        input_error(source, " holds no configuration: expected keys such as 'run:' and 'model:'",
                    missing_blank(root.IsScalar() ? root.Scalar() : ""));
    std::vector<std::string> names;
    for (const auto& entry : root) names.push_back(entry.first.Scalar());
    for (const auto& name : names)
        if (name.starts_with("x-")) root.remove(name);  // a place for anchors
    renames.apply(root, source);
    remove_none();
    overridden.clear();
    notes_of_overrides.clear();
    std::vector<Override> all;
    for (const auto& assignment : assignments) {
        all.push_back(parse_override(assignment));
        renames.apply(all.back());
    }
    for (const auto& given : all) leave_out_replaced(given);
    for (const auto& given : all) {
        apply_override(root, given);
        overridden.push_back(given.path);
    }
    renames.apply(root, source);  // words
    remove_none();
}

void Config::State::remove_none() {
    for (const Path& path : optional) {
        const YAML::Node node = find(root, path);
        const bool none = node.IsDefined() && (node.IsNull() || (node.IsScalar() && node.Scalar() == "none"));
        if (none) apply_override(root, {"", path, YAML::Node()});
    }
}

void Config::State::leave_out_replaced(const Override& given) {
    const Path parent(given.path.begin(), given.path.end() - 1);
    const std::string because = text(" is left out: the command line has ", given.assignment);
    const YAML::Node map = find(root, parent);
    std::vector<Path> replaced;
    if (known && map.IsDefined() && map.IsMap())
        for (const auto& entry : map)
            if (known->is_replaced(with(parent, entry.first.Scalar()), given))
                replaced.push_back(with(parent, entry.first.Scalar()));
    for (const Path& path : replaced) {
        apply_override(root, {"", path, YAML::Node()});
        notes_of_overrides.push_back(text(join(path, "."), " (", source, ")", because));
    }
    if (const Path other = remove_other_form(root, given.path); !other.empty())
        notes_of_overrides.push_back(text(join(other, "."), " (", source, ")", because));
}

bool Config::State::is_anchor(const Path& path) const {
    if (path.size() != 1) return false;
    const auto begin = yaml.find("\n" + path.front() + ":");
    const auto from = yaml.starts_with(path.front() + ":") ? 0 : begin == std::string::npos ? begin : begin + 1;
    if (from == std::string::npos) return false;
    const std::string line = yaml.substr(from, yaml.find('\n', from) - from);
    const auto value = line.find_first_not_of(' ', path.front().size() + 1);
    return value != std::string::npos && line[value] == '&';
}

}  // namespace pruntrain
