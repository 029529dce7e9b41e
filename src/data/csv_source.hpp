// The samples of tables of text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pruntrain/data/data_format.hpp"
#include "src/data/csv_columns.hpp"

namespace pruntrain {

/// Reads the files once, to count samples and to collect the classes. @param paths  files of the same columns
/// @throws InputError naming file, line and column
/// @param with  a file that must have the same columns; empty: none
std::unique_ptr<SampleSource> make_csv_source(const std::vector<std::string>& paths, const CsvKeys& keys,
                                              const std::string& with);

}  // namespace pruntrain
