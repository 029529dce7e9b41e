#include "src/config/known_keys.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

/// Names of other programs for keys of this one.
const std::vector<std::pair<std::string, std::string>>& other_names() {
    static const std::vector<std::pair<std::string, std::string>> names{
        {"lr", "learning_rate"},
        {"rate", "learning_rate"},
        {"alpha", "learning_rate"},
        {"step_size", "learning_rate"},
        {"batch_size", "global_batch"},
        {"batch", "global_batch"},
        {"batchsize", "global_batch"},
        {"mini_batch", "global_batch"},
        {"epoch", "epochs"},
        {"num_epochs", "epochs"},
        {"n_epochs", "epochs"},
        {"max_epochs", "epochs"},
        {"nb_epoch", "epochs"},
        {"momentum_decay", "momentum"},
        {"wd", "weight_decay"},
        {"l2", "weight_decay"},
        {"decay", "weight_decay"},
        {"betas", "beta1"},
        {"eps", "epsilon"},
        {"grad_clip", "clip_norm"},
        {"gradient_clip", "clip_norm"},
        {"max_grad_norm", "clip_norm"},
        {"max_norm", "clip_norm"},
        {"criterion", "loss"},
        {"objective", "loss"},
        {"out_features", "units"},
        {"neurons", "units"},
        {"nodes", "units"},
        {"hidden", "units"},
        {"size", "units"},
        {"filters", "channels"},
        {"out_channels", "channels"},
        {"features", "channels"},
        {"kernel_size", "kernel"},
        {"pool_size", "kernel"},
        {"strides", "stride"},
        {"p", "rate"},
        {"probability", "rate"},
        {"type", "layer"},
        {"sparsity", "final_sparsity"},
        {"target_sparsity", "final_sparsity"},
        {"amount", "final_sparsity"},
        {"ratio", "final_sparsity"},
        {"frequency", "every_steps"},
        {"begin_step", "start_step"},
        {"begin_epoch", "start_epoch"},
        {"warmup", "warmup_epochs"},
        {"output_dir", "output"},
        {"out_dir", "output"},
        {"folder", "output"},
        {"random_seed", "seed"},
        {"pretrained", "start_from"},
        {"checkpoint", "start_from"},
        {"max_time", "time_limit"},
        {"dir", "directory"},
        {"path", "directory"},
        {"train_data", "train_inputs"},
        {"train_labels", "train_targets"},
        {"test_labels", "test_targets"},
        {"labels", "train_targets"},
        {"save_every", "every_epochs"},
        {"network", "model"},
        {"net", "model"},
        {"layers", "model"},
        {"dataset", "data"},
        {"optim", "optimizer"},
        {"training", "train"},
        {"trainer", "train"},
        {"pruning", "prune"},
        {"checkpoints", "checkpoint"},
        {"mpi", "parallel"},
    };
    return names;
}

bool is_placeholder(const std::string& name) {
    return !name.empty() && std::ranges::all_of(name, [](char c) { return c >= 'A' && c <= 'Z'; });
}

/// Where keys beside this one are known: in its own section, or, if that is an entry of a list of which only the first
/// entry is described, in that one.
Path parent_with_keys(const Path& key, const std::set<Path>& known) {
    Path parent(key.begin(), key.end() - 1);
    const auto holds = [&](const Path& other) {
        return other.size() == key.size() && std::equal(parent.begin(), parent.end(), other.begin());
    };
    if (std::ranges::any_of(known, holds)) return parent;
    for (auto& word : parent)
        if (is_number_word(word)) word = "0";
    return parent;
}

/// The known keys that a well-known other name stands for: in the same section, else anywhere.
std::vector<Path> meant_by(const Path& unknown, const std::set<Path>& known) {
    std::vector<Path> here, anywhere;
    for (const auto& [other, name] : other_names()) {
        if (other != unknown.back()) continue;
        Path sibling = unknown;
        sibling.back() = name;
        if (known.contains(with(parent_with_keys(unknown, known), name))) here.push_back(sibling);
        for (const Path& path : known)
            if (path.back() == name && !std::ranges::any_of(path, is_number_word)) anywhere.push_back(path);
    }
    return here.empty() ? anywhere : here;
}

}  // namespace

std::string hint_for(const Path& unknown, const std::set<Path>& known) {
    if (std::string blank = missing_blank(unknown.back()); !blank.empty()) return blank;
    if (const auto meant = meant_by(unknown, known); !meant.empty())
        return text("; did you mean ", join(meant.front(), "."), "?");
    const Path parent(unknown.begin(), unknown.end() - 1), described = parent_with_keys(unknown, known);
    std::vector<std::string> siblings, everywhere;
    for (const Path& other : known) {
        if (is_placeholder(other.back()) || is_number_word(other.back())) continue;
        const Path its_parent(other.begin(), other.end() - 1);
        if (its_parent == described) siblings.push_back(other.back());
        everywhere.push_back(other.back());
    }
    const bool of_other_entry = !parent.empty() && is_number_word(parent.back()) &&
                                std::ranges::find(siblings, unknown.back()) == siblings.end() &&
                                std::ranges::find(everywhere, unknown.back()) != everywhere.end();
    if (of_other_entry && described == parent)
        return text("; this entry is of a type without that key; known here: ", join(siblings));
    if (const std::string near = nearest(unknown.back(), siblings); !near.empty())
        return text("; did you mean ", join(with(parent, near), "."), "?");
    const std::string near = nearest(unknown.back(), everywhere);
    for (const Path& other : known)
        if (!near.empty() && other.back() == near) return text("; did you mean ", join(other, "."), "?");
    return siblings.empty() ? "" : text("; known here: ", join(siblings));
}

Path KnownKeys::present(Path path) const {
    renames_.apply(path);
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (is_number_word(path[i])) path[i] = "0";
        if (i + 1 < path.size() || members_.contains(path)) continue;
        Path placeholder(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(i));
        for (const auto& [known, members] : members_)
            if (known.size() == path.size() && is_placeholder(known.back()) &&
                std::equal(placeholder.begin(), placeholder.end(), known.begin()))
                path[i] = known.back();
    }
    return path;
}

std::set<Path> KnownKeys::all() const {
    std::set<Path> paths = sections_;
    for (const auto& [path, members] : members_) paths.insert(path);
    return paths;
}

std::optional<Path> KnownKeys::first_unknown(const YAML::Node& root) const {
    const auto visit = [&](const auto& self, const YAML::Node& node, const Path& path) -> std::optional<Path> {
        const bool is_entry = !path.empty() && is_number_word(path.back());
        if (!path.empty() && !is_entry) {
            if (has(path)) return std::nullopt;
            if (!has_section(path)) return path;
        }
        if (node.IsMap()) {
            for (const auto& entry : node)
                if (auto found = self(self, entry.second, with(path, entry.first.Scalar()))) return found;
        } else if (node.IsSequence()) {
            for (std::size_t i = 0; i < node.size(); ++i)
                if (auto found = self(self, node[i], with(path, std::to_string(i)))) return found;
        }
        return std::nullopt;
    };
    return visit(visit, root, {});
}

bool KnownKeys::is_replaced(const Path& key, const Override& given) const {
    if (!given.value.IsScalar() || key.size() != given.path.size() || key == given.path) return false;
    const auto known = members_.find(present(key));
    if (known == members_.end()) return false;
    const std::string chooser = given.path.back() + ": ";
    return std::ranges::all_of(known->second, [&](const std::string& member) {
        return member.starts_with(chooser) && member != chooser + given.value.Scalar();
    });
}

Path remove_other_form(const YAML::Node& root, const Path& given) {
    const std::vector<std::pair<std::string, std::string>> forms{
        {"step", "epoch"}, {"epoch", "step"}, {"steps", "epochs"}, {"epochs", "steps"}};
    const std::string& name = given.back();
    const Path parent(given.begin(), given.end() - 1);
    for (const auto& [form, other] : forms) {
        if (name != form && !name.ends_with("_" + form)) continue;
        const std::string key = name.substr(0, name.size() - form.size()) + other;
        YAML::Node map = find(root, parent);
        if (!map.IsDefined() || !map.IsMap() || !find(map, {key}).IsDefined()) continue;
        map.remove(key);
        return with(parent, key);
    }
    return {};
}

}  // namespace pruntrain
