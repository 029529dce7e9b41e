// How a table is written, as far as its first lines show.
#pragma once

#include <string>

#include "pruntrain/io/csv_reader.hpp"
#include "src/io/text_file.hpp"

namespace pruntrain {

/// @throws InputError if the first line may be a heading or a sample, or if there is no row
CsvLayout find_layout(const TextFile& file, const std::string& path, const CsvFormat& format);

}  // namespace pruntrain
