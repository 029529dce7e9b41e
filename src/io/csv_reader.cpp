#include "pruntrain/io/csv_reader.hpp"

#include <utility>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "src/io/csv_layout.hpp"
#include "src/io/text_file.hpp"

namespace pruntrain {

CsvReader::CsvReader(std::string path, const CsvFormat& format)
    : path_(std::move(path)), format_(format), layout_(find_layout(TextFile(path_), path_, format)) {
    format_.separator = layout_.separator;
}

std::string CsvReader::column_text(std::size_t column) const {
    std::string name = column < layout_.names.size() ? shown(layout_.names[column].substr(0, 40)) : "";
    if (!name.empty()) name = " (" + name + ")";
    return text("column ", column + 1, name);
}

std::string CsvReader::place(index_t line, std::size_t column) const {
    return text("'", path_, "' line ", line, " ", column_text(column));
}

CsvComments CsvReader::for_each_row(const Take& take, bool ends_only) const {
    TextFile file(path_);
    CsvLexer lexer([&](std::span<char> bytes) { return file.read(bytes); }, path_, format_, layout_.line_end);
    if (layout_.has_heading && lexer.next()) lexer.skip_lines(format_.skip_after_heading);
    if (ends_only && layout_.empty_columns == 0) lexer.set_ends_only();
    const std::size_t columns = layout_.columns + layout_.empty_columns;
    for (index_t row = 0; lexer.next(); ++row) {
        if (row == 0) lexer.forget_comments();
        const std::span<const CsvCell> cells = lexer.cells();
        if (cells.size() != columns)
            input_error("'", path_, "' line ", lexer.line(), " has ", cells.size(), " columns, the lines before have ",
                        columns, ": is the separator right, and are texts with separators quoted?");
        for (const CsvCell& cell : cells.last(layout_.empty_columns))
            if (!cell.text.empty())
                input_error("'", path_, "' line ", lexer.line(), " ends with '", shown(cell.text.substr(0, 40)),
                            "' in a column that is empty in the lines before: name the column, or remove it");
        if (!take(row, lexer.line(), cells.first(layout_.columns))) break;
    }
    return lexer.comments();
}

}  // namespace pruntrain
