// Which columns of a table are inputs and which are targets.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pruntrain/base/types.hpp"
#include "pruntrain/io/csv_reader.hpp"

namespace pruntrain {

/// A first column that seems to count the samples.
enum class IndexColumn { refuse, drop, keep };

struct CsvKeys {
    CsvFormat format;
    std::vector<std::string> target{"last"};  ///< first, last, or columns by name or number
    index_t target_columns = 1;               ///< of first and last
    bool has_targets = true;                  ///< false: there are none; a column that `target` names is left out
    std::vector<std::string> inputs;          ///< columns by name or number; none: all that are left
    std::vector<std::string> leave_out;       ///< columns by name or number; not used if `inputs` are given
    IndexColumn index_column = IndexColumn::refuse;
    std::vector<index_t> shape;  ///< empty: flat, one feature per column
};

struct CsvColumns {
    std::vector<std::size_t> inputs, targets;
    bool may_be_index = false;   ///< the first column is an input without a word of the user whether it counts samples
    bool must_be_index = false;  ///< a key says to drop the first column as an index, and its name does not
};

/// A word of a table, for messages.
std::string quoted(std::string_view word);

/// @throws InputError if there is no such column, or none is left for inputs
CsvColumns choose_columns(const CsvReader& reader, const CsvKeys& keys);

}  // namespace pruntrain
