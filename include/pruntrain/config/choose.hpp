// The choice of a family member, or of a value of an enum, by a key of the configuration.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/registry.hpp"
#include "pruntrain/config/config.hpp"

namespace pruntrain {

/// For --describe: every member reads its keys.
template <class Factory, class... Args>
void describe_members(const Registry<Factory>& registry, const Config& section, const std::string& key,
                      const Args&... args) {
    for (const auto& member : registry.members()) try {
            member.make(section.member(text(key, ": ", member.name)), args...);
        } catch (const InputError&) {
            // It does not like the sample values; by then it has read its keys.
        }
}

/// Reads `key` (a name of the registry) and makes that member from the same section; all other arguments go to its
/// factory. While describing, all members read their keys.
template <class Factory, class... Args>
auto choose(const Registry<Factory>& registry, const Config& section, const std::string& key,
            const std::optional<std::string>& fallback, const std::string& meaning, const Args&... args) {
    const std::string chosen = section.choice(key, fallback, registry.names(), meaning);
    if (section.is_describing()) describe_members(registry, section, key, args...);
    return registry.find(chosen)(section.member(text(key, ": ", chosen)), args...);
}

/// A word of the configuration and what it means to the program.
template <class Enum>
struct EnumWord {
    const char* word;
    Enum value;
};

template <class Enum>
std::string word_of(Enum value, const std::vector<EnumWord<Enum>>& words) {
    for (const auto& one : words)
        if (one.value == value) return one.word;
    fault("value ", static_cast<int>(value), " of an enum has no word");
}

/// Reads `key`, one of the words of a table, as the value of that word.
template <class Enum>
Enum choose_enum(const Config& section, const std::string& key, Enum fallback, const std::vector<EnumWord<Enum>>& words,
                 const std::string& meaning) {
    std::vector<std::string> allowed;
    for (const auto& one : words) allowed.emplace_back(one.word);
    const std::string chosen = section.choice(key, word_of(fallback, words), allowed, meaning);
    for (const auto& one : words)
        if (chosen == one.word) return one.value;
    fault("no value of ", section.path_of(key), " has the word ", chosen);
}

}  // namespace pruntrain
