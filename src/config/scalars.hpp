// Words of a configuration as numbers and as paths.
#pragma once

#include <optional>
#include <string>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// A whole number of YAML 1.2: decimal, also with leading zeros, 0o17 or 0x1F. Nothing if the word has another form.
std::optional<index_t> whole_number(const std::string& word);

/// What to write instead of a word that is a number with a comma or with a percent sign; "" for other words.
std::string number_hint(const std::string& word);

/// A path with `~/` and `$NAME` or `${NAME}` replaced from the environment; `$$` is a dollar sign.
/// @param place  of the key, for messages
/// @throws InputError if a variable is not set
std::string expanded_path(const std::string& path, const std::string& place);

}  // namespace pruntrain
