// A first column that counts the samples of a table: the index of pandas, the row names of R.
#pragma once

#include <string>
#include <string_view>

#include "pruntrain/io/csv_reader.hpp"

namespace pruntrain {

/// Looks at the values of the first column of a file, row by row.
class IndexCheck {
   public:
    void add(std::string_view word);
    bool counts_by_one() const { return by_one_; }
    /// @throws InputError if the column seems to be an index, which no key has confirmed
    void refuse_index(const CsvReader& reader) const;
    /// @throws InputError unless the column, which a key says to drop, is an index: by its name, or as it counts by one
    void require_index(const CsvReader& reader) const;

   private:
    bool increases_ = true, by_one_ = true;
    long first_ = 0, last_ = 0;
    index_t rows_ = 0;
    std::string before_break_, break_;  // the first value that does not count on, and the one before it
};

/// Whether the first column has no name, or the one that pandas gives to an index that it read back.
bool has_unnamed_index(const CsvLayout& layout);

/// Refuses the first column as one that counts the samples.
[[noreturn]] void refuse_index_column(const CsvReader& reader, const std::string& why);

/// A column as data.leave_out and data.target take it: its name, or its number if that cannot be written so.
std::string key_of_column(const CsvReader& reader, std::size_t column);

/// @throws InputError if two files do not have the same columns, with the one that alone has an index
void check_same_columns(const CsvReader& first, const CsvReader& other);

}  // namespace pruntrain
