// Text helpers: lists, nearest names, formatted values.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

std::string join(const std::vector<std::string>& words, std::string_view separator = ", ");

/// The word with the smallest edit distance (Levenshtein 1966) to `wanted`, or "" if all distances exceed a third of
/// its length.
std::string nearest(std::string_view wanted, const std::vector<std::string>& words);

/// The shortest decimal text that reads back as the same double: "0.1", "1e-05", "nan".
std::string exact(double value);

/// With `digits` decimal places: "0.8934".
std::string fixed(double value, int digits);

/// With thousands separators: "266,610".
std::string grouped(index_t value);

/// Bytes in binary units: "1.3 MiB".
std::string bytes_text(double bytes);

/// Duration: "12 s", "3 min 20 s", "2 h 05 min".
std::string duration_text(double seconds);

/// 16 hexadecimal digits.
std::string hex(std::uint64_t value);

/// True for UTF-8 without control characters, which is safe in file names, in JSON and on a terminal.
bool is_plain_text(std::string_view words);

/// For messages: text of a file, which may have any content, with ? for each byte that is not plain text.
std::string shown(std::string_view words);

/// The first words with commas, and "..." if there are more than `most`.
std::string join_some(const std::vector<std::string>& words, std::size_t most);

/// As a field of a CSV file: quoted if it has commas or quotes.
std::string csv_field(const std::string& value);

/// Sizes separated by x: "64x7x7".
std::string crossed(std::span<const index_t> sizes);

/// The lines that only one of the texts has, "- old" and "+ new"; empty if they agree.
std::string changed_lines(const std::string& before, const std::string& now);

/// kept / size with four digits; 1 if size is 0.
std::string density_text(index_t kept, index_t size);
/// "512x784 of 1024x784" after physical compaction.
std::string shape_text(const std::vector<index_t>& shape, const std::vector<index_t>& full_shape);
/// "-" for NaN.
std::string number_or_dash(double value, int digits);

}  // namespace pruntrain
