#include "src/data/class_names.hpp"

#include <algorithm>
#include <set>
#include <sstream>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

constexpr std::size_t most_shown = 20;

}  // namespace

std::vector<std::string> names_of_classes(std::vector<std::string> given, const SampleSource& train) {
    if (given.empty() && train.classes() != nullptr)
        for (const ClassName& one : *train.classes()) given.push_back(one.name);
    std::set<std::string> distinct;
    for (const std::string& name : given) {
        if (!is_plain_text(name)) input_error("data.class_names has a name that is no text: '", shown(name), "'");
        if (!distinct.insert(name).second) input_error("data.class_names has '", shown(name), "' twice");
    }
    return given;
}

void broadcast(std::vector<std::string>& names, const Communicator& world) {
    auto count = static_cast<std::uint64_t>(names.size());
    world.broadcast(std::span(&count, 1));
    std::string all;
    if (world.is_root()) all = join(names, "\n");  // names have no line breaks
    world.broadcast_text(all);
    std::istringstream lines(all);
    names.resize(count);
    for (std::string& name : names) std::getline(lines, name);
}

std::vector<float> map_classes(const SampleSource& source, const std::vector<std::string>& names,
                               bool train_has_words) {
    if (source.classes() == nullptr) return {};
    if (source.classes()->empty()) {
        if (train_has_words)
            input_error("the targets of the test files are numbers, but those of the training files are words (",
                        join_some(names, most_shown), "): write both in the same way");
        return {};
    }
    std::vector<float> map;
    for (const ClassName& one : *source.classes()) {
        const auto found = std::ranges::find(names, one.name);
        if (names.empty())
            input_error(one.place, ": the target '", one.name,
                        "' is a word, but those of the training files are numbers: write both in the same way");
        if (found == names.end())
            input_error(one.place, ": the class '", one.name, "' is unknown: the classes are ",
                        join_some(names, most_shown), " (data.class_names, the checkpoint, or the training files)");
        map.push_back(static_cast<float>(found - names.begin()));
    }
    return map;
}

void apply_map(const std::vector<float>& map, std::span<float> targets) {
    if (map.empty()) return;
    for (float& target : targets) target = map[static_cast<std::size_t>(target)];
}

}  // namespace pruntrain
