// Numbers as programs write them into tables.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pruntrain {

/// A finite number: 1, -2.5, +3e-2, 1.5D+02 and 1.5-103 (Fortran); with `decimal_comma` 2,5 and no point.
std::optional<double> csv_number(std::string_view text, bool decimal_comma);

/// Whether it stands for no value: empty, NA, nan, NULL, ?, inf, #N/A and the like.
bool is_missing(std::string_view text);

/// Digits alone.
bool is_index(std::string_view text);

/// True for 1,5: it would be a number if the decimal separator were a comma.
bool has_decimal_comma(std::string_view text);

/// Whether it looks like a date or a time: 2020-01-31, 1.2.2020, 12:30:00.
bool is_date(std::string_view text);

/// Whether `why_no_number` knows the notation, so that the text is no word.
bool is_known_notation(std::string_view text, bool decimal_comma);

/// Why a text is no number, and what to do: "is missing: ...", "is a word: ...".
std::string why_no_number(std::string_view text, bool decimal_comma);

}  // namespace pruntrain
