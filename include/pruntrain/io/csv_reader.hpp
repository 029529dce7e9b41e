// Text files with one row of separated values per line.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// A table of values. Blank lines are skipped; a first line without any value is taken as column names.
class CsvReader {
   public:
    /// Counts rows and columns. @throws InputError if the file cannot be read or a line has a different number of
    /// columns
    CsvReader(std::string path, char separator);

    const std::string& path() const { return path_; }
    index_t rows() const { return rows_; }
    index_t columns() const { return columns_; }

    /// Calls `take` with the values of each row. @throws InputError with line and text of a value that is no
    /// number, or too large for float
    void read(const std::function<void(index_t row, std::span<const double> numbers)>& take) const;

   private:
    void for_each_line(const std::function<void(index_t number, std::string_view line)>& take) const;

    std::string path_;
    char separator_;
    index_t rows_ = 0;
    index_t columns_ = 0;
};

}  // namespace pruntrain
