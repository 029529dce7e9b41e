// Which members of which families go together, tried out in pairs: docs/compatibility.md is what this finds.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/prune/pruner.hpp"
#include "pruntrain/prune/soft_pruned_weights.hpp"

using namespace pruntrain;

namespace {

constexpr const char* page = "docs/compatibility.md";  // tests run at the root of the project
constexpr const char* head = R"(# What goes together

Made by `PRUNTRAIN_WRITE_DOCS=1 build/test_conformance -tc="compatibility*"`, which builds each pair of members, all else at its
default, and lets it prune a small network; the test compares this page with what it finds. What is refused is refused before
training, with the message below (`--check` shows it too).
)";

constexpr const char* model =
    "model: [{layer: dense, units: 16}, {layer: batch_norm}, {layer: relu}, {layer: dense, units: 12}, {layer: "
    "batch_norm}, "
    "{layer: relu}, {layer: dense, units: 3, prunable: false}]";
const RunLength length{.steps_per_epoch = 10, .steps = 100};

template <class Factory>
std::vector<std::string> names_of(const Registry<Factory>& registry) {
    std::vector<std::string> names;
    for (const auto& member : registry.members()) names.push_back(member.name);
    return names;
}

/// Keys of the prune section in the order of the tables, and their choices.
const std::vector<std::pair<std::string, std::vector<std::string>>>& families() {
    static const std::vector<std::pair<std::string, std::vector<std::string>>> all{
        {"criterion", names_of(criteria())},     {"granularity", names_of(granularities())},
        {"allocation", names_of(allocations())}, {"schedule", names_of(prune_schedules())},
        {"regrow", names_of(regrowths())},       {"reconfigure", {"false", "true"}},
        {"straight_through", {"false", "true"}}};
    return all;
}

/// What a member needs besides its name.
std::string value_of(const std::string& member) {
    static const std::map<std::string, std::string> needs{{"n_m", ", n: 2, m: 4"},
                                                          {"reserve", ", start_step: 50"},
                                                          {"row", ", norm: mean"},
                                                          {"per_layer", ", sparsity: {dense1: 0.5}"},
                                                          {"threshold", ", threshold: 1e9"}};
    const auto found = needs.find(member);
    return member == "false" || member == "true"
               ? member
               : text("{type: ", member, found == needs.end() ? "" : found->second, "}");
}

/// @return empty if they prune a network, else why they do not
std::string why_not(std::map<std::string, std::string> settings) {
    const auto criterion = settings.find("criterion");
    if (criterion != settings.end() && !settings.count("granularity") &&
        criteria()
            .find(criterion->second)(Config::parse("c: {}", "c", {}).section("c"), 1)
            ->traits()
            .holds(Trait::unit_scores))
        settings["granularity"] = "row";  // units have no other
    std::string yaml = "prune: {final_sparsity: 0.5, layer_floor: 0.01";
    for (const auto& [key, member] : settings) yaml += text(", ", key, ": ", value_of(member));
    try {
        const Grid alone(Communicator::world(), 1);
        Network network(Config::parse(model, "model", {}).list("model"), {20, 1, 1});
        network.initialize(5);
        network.arena().create_slots({soft_pruned_slot});
        std::ranges::transform(network.arena().values(), network.arena().gradients().begin(),
                               [](real value) { return value * value; });
        const Pruner pruner(Config::parse(yaml + "}", "prune", {}).section("prune"), 1, length, network);
        for (index_t step = 0; step <= length.steps; ++step)
            if (pruner.event_at(step)) pruner.prune(step, network, alone);
        const PrunableCount count = count_prunable(network, count_kept(network, alone.shards()));
        return count.kept < count.size ? "" : "nothing was removed";
    } catch (const InputError& error) {
        return std::regex_replace(error.what(), std::regex(R"( \([^()]*line \d+\))"), "");
    }
}

std::string describe_all() {
    std::ostringstream out;
    std::vector<std::string> reasons;
    out << head;
    for (std::size_t a = 0; a < families().size(); ++a)
        for (std::size_t b = a + 1; b < families().size(); ++b) {
            const auto& [rows, row_members] = families()[a];
            const auto& [columns, column_members] = families()[b];
            out << "\n| " << rows << " \\ " << columns << " |";
            for (const auto& column : column_members) out << " " << column << " |";
            out << "\n|---|";
            for (std::size_t i = 0; i < column_members.size(); ++i) out << "---|";
            out << "\n";
            for (const auto& row : row_members) {
                out << "| " << row << " |";
                for (const auto& column : column_members) {
                    const std::string reason = why_not({{rows, row}, {columns, column}});
                    auto found = std::ranges::find(reasons, reason);
                    if (!reason.empty() && found == reasons.end()) found = reasons.insert(reasons.end(), reason);
                    out << (reason.empty() ? " yes |" : text(" (", found - reasons.begin() + 1, ") |"));
                }
                out << "\n";
            }
        }
    for (std::size_t i = 0; i < reasons.size(); ++i) out << "\n(" << i + 1 << ") " << reasons[i] << "\n";
    return out.str();
}

}  // namespace

TEST_CASE("compatibility: the page says which members go together") {
    const std::string found = describe_all();
    if (std::getenv("PRUNTRAIN_WRITE_DOCS") != nullptr) std::ofstream(page) << found;
    std::ostringstream written;
    written << std::ifstream(page).rdbuf();
    CHECK_MESSAGE(written.str() == found, page << " is not what is found: make it anew, as it says");
}
