#include "pruntrain/io/csv_lexer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20, longest_line = std::size_t{1} << 30;

bool is_blank(char letter) { return letter == ' ' || letter == '\t' || letter == '\r'; }

/// Without blanks around it; the separator is none.
std::string_view trimmed(const char* begin, const char* end, char separator) {
    if (begin != end && !is_blank(*begin) && !is_blank(end[-1])) return {begin, static_cast<std::size_t>(end - begin)};
    while (begin != end && is_blank(*begin) && *begin != separator) ++begin;
    while (begin != end && is_blank(end[-1]) && end[-1] != separator) --end;
    return {begin, static_cast<std::size_t>(end - begin)};
}

std::string_view trimmed(std::string_view text, char separator) {
    return trimmed(text.data(), text.data() + text.size(), separator);
}

}  // namespace

CsvLexer::CsvLexer(Bytes bytes, std::string path, const CsvFormat& format, char line_end)
    : bytes_(std::move(bytes)),
      path_(std::move(path)),
      comment_(format.comment),
      separator_(format.separator),
      line_end_(line_end) {
    skip_lines(format.skip_lines);
}

void CsvLexer::skip_lines(index_t count) {
    for (std::string_view line; count > 0 && next_line(line); --count) {
    }
}

bool CsvLexer::fill() {
    if (begin_ > 0) std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= std::exchange(begin_, 0);
    if (buffer_.size() - end_ < piece_bytes) buffer_.resize(std::max(2 * buffer_.size(), 2 * piece_bytes));
    const std::size_t count = bytes_(std::span(buffer_).subspan(end_, piece_bytes));
    end_ += count;
    return count > 0;
}

bool CsvLexer::next_line(std::string_view& line) {
    std::size_t searched = 0;
    for (;;) {
        const char* const from = buffer_.data() + begin_;
        const std::size_t size = end_ - begin_;
        const void* const found = size > searched ? std::memchr(from + searched, line_end_, size - searched) : nullptr;
        if (found != nullptr) {
            line = {from, static_cast<std::size_t>(static_cast<const char*>(found) - from)};
            begin_ += line.size() + 1;
            break;
        }
        searched = size;
        if (size > longest_line)
            input_error("'", path_, "' line ", line_ + 1, " has more than 1 GiB: is this a text with lines?");
        if (fill()) continue;
        if (size == 0) return false;
        line = {buffer_.data() + begin_, size};
        begin_ = end_;
        break;
    }
    ++line_;
    return true;
}

bool CsvLexer::is_comment(std::string_view line) const {
    return !comment_.empty() && line.substr(0, comment_.size()) == comment_;
}

bool CsvLexer::next() {
    std::string_view line;
    do {
        if (!next_line(line)) return false;
        const auto content = trimmed(line, '\0');
        const bool comments = is_comment(content);
        if (comments && comments_.count++ == 0) comments_.first_line = line_;
        if (content.empty() || comments) line = {};
    } while (line.empty());
    record_line_ = line_;
    if (std::memchr(line.data(), '"', line.size()) == nullptr) {
        split(line);
        return true;
    }
    if (split_quoted(line)) return true;
    for (joined_ = line; next_line(line);) {
        joined_ += '\n';
        joined_ += line;
        if (joined_.size() > longest_line) break;
        // Only a line with a quote can close what is open.
        if (line.find('"') != std::string_view::npos && split_quoted(joined_)) return true;
    }
    input_error("'", path_, "' line ", record_line_, ": a quote (\") is opened and never closed: close it, or double ",
                "quotes inside of a quoted text");
}

void CsvLexer::split(std::string_view record) {
    if (separator_ == CsvFormat::blank) return split_blanks(record);
    if (ends_only_) return split_ends(record);
    cells_.clear();
    const char *position = record.data(), *const end = position + record.size();
    const char separator = separator_;
    for (const char* stop = position; stop != end; ++stop) {
        if (*stop != separator) continue;
        cells_.push_back({trimmed(position, stop, separator), false});
        position = stop + 1;
    }
    cells_.push_back({trimmed(position, end, separator), false});
}

void CsvLexer::split_ends(std::string_view record) {
    const char *const begin = record.data(), *const end = begin + record.size();
    cells_.assign(1 + static_cast<std::size_t>(std::count(begin, end, separator_)), CsvCell{});
    const auto last = std::min(record.rfind(separator_), record.size());  // none: there is one cell
    cells_.back() = {trimmed(last == record.size() ? begin : begin + last + 1, end, separator_), false};
    cells_.front() = {trimmed(begin, std::find(begin, end, separator_), separator_), false};
}

void CsvLexer::split_blanks(std::string_view record) {
    cells_.clear();
    const auto content = trimmed(record, '\0');
    const char *position = content.data(), *const end = position + content.size();
    while (position != end) {
        const char* const stop = std::find_if(position, end, is_blank);
        cells_.push_back({{position, static_cast<std::size_t>(stop - position)}, false});
        position = std::find_if_not(stop, end, is_blank);
    }
}

/// A quote opens a text only at the start of a cell: 5" is a word.
bool CsvLexer::split_quoted(std::string_view record) {
    const bool blanks = separator_ == CsvFormat::blank;
    const auto separates = [&](char letter) { return blanks ? is_blank(letter) : letter == separator_; };
    cells_.clear();
    unquoted_.clear();
    unquoted_.reserve(record.size());  // so that texts in it keep their places
    const char *position = record.data(), *const end = position + record.size();
    for (;;) {
        while (position != end && is_blank(*position) && (blanks || *position != separator_)) ++position;
        if (blanks && position == end) return true;
        if (position == end || *position != '"') {
            const char* const stop = std::find_if(position, end, separates);
            cells_.push_back({trimmed(position, stop, separator_), false});
            position = stop;
        } else {
            const std::size_t first = unquoted_.size();
            for (++position;; ++position) {
                if (position == end) return false;
                if (*position == '"' && (++position == end || *position != '"')) break;
                unquoted_ += *position;
            }
            // Blanks inside of quotes around a word say no more than blanks outside.
            const auto text = std::string_view(unquoted_).substr(first);
            cells_.push_back({trimmed(text, '\0'), true});
            const char* const stop = std::find_if(position, end, separates);
            if (!trimmed(position, stop, separator_).empty())
                input_error("'", path_, "' line ", record_line_, " column ", cells_.size(),
                            " has text after a closing quote: double the quotes inside of a quoted text");
            position = stop;
        }
        if (position == end) return true;
        ++position;
    }
}

}  // namespace pruntrain
