// Text files with one row of separated values per line.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/types.hpp"
#include "pruntrain/io/csv_format.hpp"
#include "pruntrain/io/csv_lexer.hpp"

namespace pruntrain {

/// What the first lines of a file show.
struct CsvLayout {
    char separator = ',';
    char line_end = '\n';
    bool has_heading = false;    ///< the first record has names
    bool has_row_names = false;  ///< the first column has names of rows; the heading has none for it (R's write.table)
    std::size_t columns = 0;     ///< without empty ones at the end
    std::vector<std::string> names;     ///< of the columns; none without a heading
    std::size_t empty_columns = 0;      ///< at the end of all lines, as of separators there
    bool heading_is_uncertain = false;  ///< the first line is taken as a sample, but may have names
};

class CsvReader {
   public:
    /// Finds out how the file is written. @throws InputError for no file, or one that may be understood in two ways
    CsvReader(std::string path, const CsvFormat& format);

    const std::string& path() const { return path_; }
    const CsvFormat& format() const { return format_; }
    const CsvLayout& layout() const { return layout_; }
    /// "'a.csv' line 3 column 2 (length)"
    std::string place(index_t line, std::size_t column) const;
    /// "column 2 (length)"
    std::string column_text(std::size_t column) const;

    /// Calls `take` with the cells of each row after the heading, all of `layout().columns`, until it returns false.
    /// @throws InputError with the line of a row with more or fewer columns
    /// @return the comments between the first and the last row that were read, and after the last one of the file
    /// @param ends_only  only the first and the last cell are needed, the others may be empty
    using Take = std::function<bool(index_t row, index_t line, std::span<const CsvCell> cells)>;
    CsvComments for_each_row(const Take& take, bool ends_only = false) const;

   private:
    std::string path_;
    CsvFormat format_;
    CsvLayout layout_;
};

}  // namespace pruntrain
