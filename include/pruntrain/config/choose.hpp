// The choice of a family member by a key of the configuration.
#pragma once

#include <optional>
#include <string>

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

}  // namespace pruntrain
