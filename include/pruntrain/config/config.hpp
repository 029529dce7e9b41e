// The configuration: a YAML tree that is read key by key. The read of a key is its documentation.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// Allowed numbers, ends included unless said otherwise.
struct Range {
    double low = -std::numeric_limits<double>::infinity();
    double high = std::numeric_limits<double>::infinity();
    bool low_open = false;
    bool high_open = false;

    bool contains(double value) const;
    std::string describe() const;  ///< "> 0", "0 <= x < 1", "any"
};
inline Range at_least(double low) { return {.low = low}; }
inline Range above(double low) { return {.low = low, .low_open = true}; }
inline Range between(double low, double high) { return {.low = low, .high = high}; }
inline Range from_up_to_below(double low, double high) { return {.low = low, .high = high, .high_open = true}; }

/// A key that was read, with the value that the program uses: the one given or the default.
struct ResolvedKey {
    std::string name;
    std::variant<bool, index_t, double, std::string, std::vector<double>, std::vector<std::string>> value;
};

/// One place in the tree. Each key is read in one place of the program, by one of the typed reads below, with its
/// default (none: the key is required), allowed values and meaning. All copies share the record of reads: `describe`
/// prints it, `resolved` writes it as YAML, and `finish` rejects a key that nobody read. Reads throw InputError.
/// Large because each type of value has its read, and the record of the reads has several readers.
class Config {
   public:
    /// @param source     the file's name, for messages
    /// @param overrides  "key.path=value", applied in order; list entries by number: "model.1.units=100"
    static Config parse(const std::string& yaml, const std::string& source, const std::vector<std::string>& overrides);

    /// An empty configuration in which every key exists: reads return the default (or a sample) and are recorded.
    static Config describing();
    bool is_describing() const;

    /// The map under `key`; may be absent, then every read in it gives the default. A word in its place is its `type`:
    /// "criterion: magnitude" is "criterion: {type: magnitude}".
    Config section(const std::string& key) const;
    bool has(const std::string& key) const;
    /// Whether an optional section is there: not if it is empty or the word none.
    bool has_section(const std::string& key) const;
    /// The maps of a list. @throws InputError if `key` is no list
    std::vector<Config> list(const std::string& key) const;
    /// The keys of this map, in order.
    std::vector<std::string> keys() const;

    /// Before the reads of `key`: it may also be given, in the text and on the command line, under a name that it had
    /// earlier. Then there is a note. @throws InputError if the text has both
    void alias(const std::string& key, const std::string& old_name) const;
    /// Likewise for a word that is a value of `key`.
    void alias_word(const std::string& key, const std::string& word, const std::string& old_word) const;
    /// Adds a note for the user, which the program prints before it starts.
    void note(const std::string& text) const;
    /// What to write instead of each old name that was given, what of the text the command line replaces, and the notes
    /// of the readers.
    std::vector<std::string> notes() const;
    /// The text of another configuration with the names of now, as far as they have been declared.
    std::string with_present_names(const std::string& yaml) const;

    index_t integer(const std::string& key, std::optional<index_t> fallback, const Range& range,
                    const std::string& meaning) const;
    double number(const std::string& key, std::optional<double> fallback, const Range& range,
                  const std::string& meaning) const;
    bool flag(const std::string& key, std::optional<bool> fallback, const std::string& meaning) const;
    std::string word(const std::string& key, std::optional<std::string> fallback, const std::string& meaning) const;
    /// A word that names a file or folder: `~/`, `$NAME` and `${NAME}` are replaced. The record keeps it as it is
    /// given.
    std::string path(const std::string& key, std::optional<std::string> fallback, const std::string& meaning) const;
    std::string choice(const std::string& key, std::optional<std::string> fallback,
                       const std::vector<std::string>& allowed, const std::string& meaning) const;
    /// A list of texts, or one text.
    std::vector<std::string> words(const std::string& key, std::optional<std::vector<std::string>> fallback,
                                   const std::string& meaning) const;
    /// Likewise of names of files, as `path`.
    std::vector<std::string> paths(const std::string& key, std::optional<std::vector<std::string>> fallback,
                                   const std::string& meaning) const;
    /// A list of numbers, or one number.
    std::vector<double> numbers(const std::string& key, std::optional<std::vector<double>> fallback, const Range& range,
                                const std::string& meaning) const;

    /// The same place, its reads noted as belonging to one member of a family ("type: adam") in `describe`.
    Config member(const std::string& name) const;

    /// "optimizer.learning_rate" for messages.
    std::string path_of(const std::string& key) const;
    /// "optimizer.learning_rate (config.yaml, line 12)", or "... (command line)" after an override, for messages.
    std::string place_of(const std::string& key) const;

    /// Before the reads, with all keys that exist: an unknown key is rejected before a missing one, and where the
    /// command line chooses another member of a family, the keys of the former one in the text are left out.
    /// @param description  a configuration that was described
    void check_keys(const Config& description) const;
    /// @throws InputError on the first key that was not read, with the nearest known name
    void finish() const;
    /// All keys that were read, with their values, as YAML that gives the same run.
    std::string resolved() const;
    /// The keys of this map that were read, in the order of their first reads. A key of a section in it has the
    /// section's name before a dot.
    std::vector<ResolvedKey> resolved_keys() const;
    /// All keys that were read: key, type, default, allowed, meaning, as text for a terminal.
    std::string describe() const;

   private:
    struct State;
    [[noreturn]] void reject_unknown(const std::vector<std::string>& path,
                                     const std::set<std::vector<std::string>>& known) const;
    Config(std::shared_ptr<State> state, std::vector<std::string> path, std::string member);

    std::shared_ptr<State> state_;
    std::vector<std::string> path_;
    std::string member_;
};

}  // namespace pruntrain
