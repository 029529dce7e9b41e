// A family of interchangeable components selected by name: layers, optimizers, criteria, schedules, formats.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

/// Names and their factories, in a fixed order. To add a member of a family, write its file and one line in the
/// family's registry.cpp. The conformance tests cover every registry, so a member without a test sample fails.
template <class Factory>
class Registry {
   public:
    struct Member {
        std::string name;
        Factory make;
        std::string meaning;  ///< one line for --describe
    };

    Registry(std::string family, std::vector<Member> members)
        : family_(std::move(family)), members_(std::move(members)) {}

    /// @throws InputError that names the nearest member and all others
    const Factory& find(std::string_view name) const {
        for (const auto& member : members_)
            if (member.name == name) return member.make;
        const std::string near = nearest(name, names());
        input_error("unknown ", family_, " '", name, "'", near.empty() ? "" : text(" (did you mean '", near, "'?)"),
                    "; known: ", join(names()));
    }

    std::vector<std::string> names() const {
        std::vector<std::string> all;
        for (const auto& member : members_) all.push_back(member.name);
        return all;
    }

    const std::string& family() const { return family_; }
    const std::vector<Member>& members() const { return members_; }

   private:
    std::string family_;
    std::vector<Member> members_;
};

}  // namespace pruntrain
