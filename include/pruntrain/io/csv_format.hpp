// How a table of text is written, as far as the user says it.
#pragma once

#include <string>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// Whether the first line has the names of the columns.
enum class CsvHeading { automatic, yes, no };

struct CsvFormat {
    static constexpr char automatic = '\0';  ///< the separator that fits the first lines best
    static constexpr char blank = ' ';       ///< any number of blanks and tabs

    char separator = automatic;
    bool decimal_comma = false;
    std::string comment = "#";  ///< lines that begin with it are skipped; empty: none are
    index_t skip_lines = 0;     ///< at the start of the file
    CsvHeading heading = CsvHeading::automatic;
    index_t skip_after_heading = 0;  ///< lines, for instance of units
};

}  // namespace pruntrain
