// The cells of a text with separated values: lines, quotes, comments.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pruntrain/base/types.hpp"
#include "pruntrain/io/csv_format.hpp"

namespace pruntrain {

/// Lines that were skipped as comments.
struct CsvComments {
    index_t count = 0, first_line = 0;
};

struct CsvCell {
    std::string_view text;  ///< without blanks around it, without quotes
    bool quoted = false;
};

/// Reads records, one after the other. A record is a line, or several if quoted cells have line breaks (RFC 4180).
/// Blank lines and comments are skipped.
class CsvLexer {
   public:
    /// Fills bytes from the text. @return how many; 0 at its end
    using Bytes = std::function<std::size_t(std::span<char>)>;

    /// @param path      for messages
    /// @param line_end  '\n' (also after '\r') or '\r'
    CsvLexer(Bytes bytes, std::string path, const CsvFormat& format, char line_end);

    /// @return false at the end. @throws InputError with the line of quotes that are not closed
    bool next();
    /// Of the record, valid until the next one.
    const std::vector<CsvCell>& cells() const { return cells_; }
    /// Number of the line in which the record begins, from 1.
    index_t line() const { return record_line_; }
    void skip_lines(index_t count);
    const CsvComments& comments() const { return comments_; }
    void forget_comments() { comments_ = {}; }
    /// From now on, only the first and the last cell of a record are set, and the number of cells. That is faster.
    void set_ends_only() { ends_only_ = separator_ != CsvFormat::blank; }

   private:
    bool next_line(std::string_view& line);
    bool fill();
    bool is_comment(std::string_view line) const;
    void split(std::string_view record);
    void split_ends(std::string_view record);
    void split_blanks(std::string_view record);
    /// Reads a record with quotes, and the lines that belong to it. Returns false if it has to be read with more lines.
    bool split_quoted(std::string_view record);

    Bytes bytes_;
    std::string path_, comment_;
    char separator_, line_end_;
    bool ends_only_ = false;
    std::vector<char> buffer_;
    std::size_t begin_ = 0, end_ = 0;  // of what has been read and is still to be used
    index_t line_ = 0, record_line_ = 0;
    CsvComments comments_;
    std::string joined_, unquoted_;  // a record of several lines; texts whose doubled quotes became single ones
    std::vector<CsvCell> cells_;
};

}  // namespace pruntrain
