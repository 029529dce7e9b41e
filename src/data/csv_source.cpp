#include "src/data/csv_source.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/io/csv_number.hpp"
#include "src/data/csv_index.hpp"

namespace pruntrain {

namespace {

bool has_letter(std::string_view word) {
    return std::ranges::any_of(word, [](char letter) {
        return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter & 0x80) != 0;
    });
}

/// Control characters, among them line breaks, are no part of a name; those from U+0080 to U+009F have two bytes.
bool has_control(std::string_view word) {
    for (std::size_t i = 0; i < word.size(); ++i) {
        const auto letter = static_cast<unsigned char>(word[i]);
        const auto next = static_cast<unsigned char>(i + 1 < word.size() ? word[i + 1] : 0);
        if (letter < 0x20 || letter == 0x7F || (letter == 0xC2 && next >= 0x80 && next < 0xA0)) return true;
    }
    return false;
}

[[noreturn]] void refuse_name(const std::string& place, std::string_view word) {
    if (has_control(word))
        input_error(place, ": ", quoted(word),
                    " is no finite number, and no name of a class, as it has a line break or another control character "
                    "(shown as '?'): remove it from the file");
    input_error(place, ": ", quoted(word), " is no finite number, and no text in UTF-8: convert the file (iconv -f ",
                "WINDOWS-1252 -t UTF-8), or save it as UTF-8");
}

/// Words in the target column, of all files.
class TargetWords {
   public:
    struct Word {
        std::string place;
        index_t count = 0;
    };

    void add_word(std::string_view word, const CsvReader& reader, index_t line, std::size_t column) {
        auto found = words_.find(word);
        if (found == words_.end()) {
            std::string place = reader.place(line, column);
            if (!is_plain_text(word)) refuse_name(place, word);
            found = words_.emplace(word, Word{std::move(place), 0}).first;
        }
        ++found->second.count;
        if (first_word_.empty()) first_word_ = word;
    }
    void add_number(const CsvReader& reader, index_t line, std::size_t column) {
        if (!number_place_.empty()) return;
        number_place_ = reader.place(line, column);
    }

    /// In the order of the classes. @throws InputError if some targets are words and others are numbers
    std::vector<ClassName> classes() const {
        std::vector<ClassName> all;
        if (words_.empty()) return all;
        if (!number_place_.empty())
            input_error(words_.at(first_word_).place, ": ", quoted(first_word_),
                        " is no finite number, but the target in ", number_place_,
                        " is one: write all targets as numbers, or all as words");
        for (const auto& [name, word] : words_) all.push_back({name, word.place});
        return all;
    }
    index_t index_of(std::string_view word) const {
        const auto found = words_.find(word);
        return found == words_.end() ? -1 : std::distance(words_.begin(), found);
    }
    /// The word of the first row of a file without a heading. It is the name of the column if no other row has it, and
    /// there are several rows of each other word.
    bool is_alone(std::string_view word) const {
        return std::ranges::all_of(words_,
                                   [&](const auto& one) { return (one.second.count == 1) == (one.first == word); });
    }

   private:
    std::map<std::string, Word, std::less<>> words_;
    std::string first_word_, number_place_;
};

class CsvSource final : public SampleSource {
   public:
    CsvSource(const std::vector<std::string>& paths, const CsvKeys& keys, const std::string& with) {
        for (const std::string& path : paths) {
            readers_.emplace_back(path, keys.format);
            if (readers_.size() > 1) check_same_columns(readers_.front(), readers_.back());
        }
        if (!with.empty()) check_same_columns(CsvReader(with, keys.format), readers_.front());
        columns_ = choose_columns(readers_.front(), keys);
        for (const CsvReader& reader : readers_) scan(reader);
        classes_ = words_.classes();
        const auto inputs = static_cast<index_t>(columns_.inputs.size());
        header_ = {keys.shape.empty() ? Shape{inputs, 1, 1} : to_shape(keys.shape), begins_.back(),
                   static_cast<index_t>(std::max<std::size_t>(1, columns_.targets.size())), Element::float32};
        if (header_.shape.size() != inputs)
            input_error("'", readers_.front().path(), "' has ", inputs, " input columns, but data.shape ",
                        header_.shape.describe(), " needs ", header_.shape.size());
    }

    SampleHeader header() const override { return header_; }
    SampleNames names() const override {
        const std::string all = text("'", readers_.front().path(), "'",
                                     readers_.size() > 1 ? text(" .. '", readers_.back().path(), "'") : "");
        return {all, all};
    }
    const std::vector<ClassName>* classes() const override { return &classes_; }
    std::vector<std::string> input_names() const override {
        const auto& all = readers_.front().layout().names;
        std::vector<std::string> names;
        for (const std::size_t column : columns_.inputs)
            if (column < all.size() && !all[column].empty() && is_plain_text(all[column])) names.push_back(all[column]);
        const std::set<std::string> different(names.begin(), names.end());
        return names.size() == columns_.inputs.size() && different.size() == names.size() ? names
                                                                                          : std::vector<std::string>();
    }
    std::vector<std::string> warnings() const override { return warnings_; }
    bool is_wide() const override { return true; }

    void visit(index_t first, index_t count, const Take& take) const override {
        std::vector<double> values(columns_.inputs.size());
        for_each_sample(first, count, [&](const CsvReader& reader, index_t sample, index_t line, auto cells) {
            for (std::size_t i = 0; i < values.size(); ++i)
                values[i] = input(reader, sample, line, columns_.inputs[i], cells);
            take(sample, values);
        });
    }

    void read(index_t first, index_t count, std::span<std::byte> features, std::span<float> targets) const override {
        auto* inputs = features.empty() ? nullptr : reinterpret_cast<float*>(features.data());
        float* outputs = targets.empty() ? nullptr : targets.data();
        for_each_sample(first, count, [&](const CsvReader& reader, index_t sample, index_t line, auto cells) {
            if (inputs != nullptr)
                for (const std::size_t column : columns_.inputs)
                    *inputs++ = static_cast<float>(input(reader, sample, line, column, cells));
            if (outputs != nullptr && columns_.targets.empty()) *outputs++ = 0;
            if (outputs != nullptr)
                for (const std::size_t column : columns_.targets)
                    *outputs++ = target(reader, line, column, cells[column]);
        });
    }

   private:
    /// Calls take(reader, sample, line, cells) for the samples [first, first + count), in order.
    template <class Work>
    void for_each_sample(index_t first, index_t count, const Work& take) const {
        for (std::size_t file = 0; file < readers_.size(); ++file) {
            const index_t begin = std::max(first, begins_[file]), end = std::min(first + count, begins_[file + 1]);
            if (begin >= end) continue;
            const CsvReader& reader = readers_[file];
            index_t rows = 0;
            reader.for_each_row([&](index_t row, index_t line, std::span<const CsvCell> cells) {
                const index_t sample = begins_[file] + row;
                rows = row + 1;
                if (sample >= begins_[file + 1]) return false;  // the file has grown
                if (sample >= begin && sample < end) take(reader, sample, line, cells);
                return true;
            });
            if (rows != begins_[file + 1] - begins_[file]) has_changed(reader);
        }
    }

    [[noreturn]] static void has_changed(const CsvReader& reader) {
        input_error("'", reader.path(), "' has changed while it was read");
    }

    /// Counts the rows of a file and looks at its targets and first column.
    void scan(const CsvReader& reader) {
        const bool decimal_comma = reader.format().decimal_comma, has_words = columns_.targets.size() == 1;
        const std::size_t target = has_words ? columns_.targets.front() : 0;
        std::string first_word;
        IndexCheck index;
        index_t rows = 0;
        if (reader.layout().has_heading)
            reader.for_each_row([&](index_t, index_t line, std::span<const CsvCell> cells) {
                check_units(reader, line, cells);
                return false;
            });
        const CsvComments comments = reader.for_each_row(
            [&](index_t row, index_t line, std::span<const CsvCell> cells) {
                rows = row + 1;
                if (columns_.may_be_index || columns_.must_be_index) index.add(cells[0].text);
                if (!has_words) return true;
                const std::string_view word = cells[target].text;
                if (csv_number(word, decimal_comma)) {
                    words_.add_number(reader, line, target);
                } else if (has_letter(word) && !is_missing(word)) {
                    if (row == 0) first_word = word;
                    words_.add_word(word, reader, line, target);
                } else {
                    no_number("target", reader, begins_.back() + row, line, target, word);
                }
                return true;
            },
            !has_words || target == 0 || target + 1 == reader.layout().columns);
        begins_.push_back(begins_.back() + rows);
        if (comments.count > 0)
            warnings_.push_back(text("'", reader.path(), "': ", comments.count,
                                     comments.count == 1 ? " line" : " lines", " after the first sample ",
                                     comments.count == 1 ? "begins" : "begin", " with '", reader.format().comment,
                                     "', from line ", comments.first_line,
                                     " on: skipped as comments; if they are samples, set data.comment to ''"));
        if (columns_.may_be_index) index.refuse_index(reader);
        if (columns_.must_be_index) index.require_index(reader);
        if (reader.layout().heading_is_uncertain && !first_word.empty() && words_.is_alone(first_word))
            input_error("'", reader.path(), "': the first line has the class ", quoted(first_word),
                        ", which no other line has: set data.header=yes if the line has the names of the columns, and "
                        "data.header=no if it is a sample");
    }

    /// @throws InputError if the line after the heading has no value
    void check_units(const CsvReader& reader, index_t line, std::span<const CsvCell> cells) const {
        const auto is_word = [&](std::size_t column) {
            return !is_missing(cells[column].text) && !csv_number(cells[column].text, reader.format().decimal_comma);
        };
        if (!std::ranges::all_of(columns_.inputs, is_word)) return;
        for (const std::size_t column : columns_.inputs)  // values in another notation are no units
            if (is_known_notation(cells[column].text, reader.format().decimal_comma))
                no_number("input", reader, begins_.back(), line, column, cells[column].text);
        const std::size_t first = columns_.inputs.front();
        input_error(reader.place(line, first), ": ", quoted(cells[first].text), " is no finite number, and no input ",
                    "of this line is one: set data.skip_after_header=1 if the line has the units of the columns, and ",
                    "data.leave_out or data.target for columns of words");
    }

    double input(const CsvReader& reader, index_t sample, index_t line, std::size_t column,
                 std::span<const CsvCell> cells) const {
        const std::string_view word = cells[column].text;
        if (const auto number = csv_number(word, reader.format().decimal_comma)) return *number;
        no_number("input", reader, sample, line, column, word);
    }

    float target(const CsvReader& reader, index_t line, std::size_t column, const CsvCell& cell) const {
        if (!classes_.empty()) {
            const index_t index = words_.index_of(cell.text);
            if (index < 0) has_changed(reader);
            return static_cast<float>(index);
        }
        const auto number = csv_number(cell.text, reader.format().decimal_comma);
        if (!number) no_number("target", reader, -1, line, column, cell.text);
        return static_cast<float>(*number);
    }

    [[noreturn]] static void no_number(const char* what, const CsvReader& reader, index_t sample, index_t line,
                                       std::size_t column, std::string_view word) {
        if (word.empty() && is_blank_row(reader, line))
            input_error("'", reader.path(), "' line ", line, " has no values, only separators: remove the line");
        std::string reason = why_no_number(word, reader.format().decimal_comma);
        if (!is_known_notation(word, reader.format().decimal_comma) || is_date(word))
            reason += advice_for_words(what, key_of_column(reader, column), word);
        input_error(reader.place(line, column), ": ", quoted(word), " ", reason, " (", what,
                    sample < 0 ? "" : text(" of sample ", sample), ")");
    }

    static std::string advice_for_words(std::string_view what, const std::string& column, std::string_view word) {
        const bool named = has_letter(word) && !is_date(word);
        if (what == "target")
            return named ? ": several targets must all be numbers"
                         : ": write the targets as numbers, or choose another column (data.target)";
        return text(": leave the column out (data.leave_out=[", column, "]), ",
                    named ? text("make it the target (data.target=", column, "), ") : "", "or write ",
                    is_date(word) ? "it as numbers, for instance as hours since the first one"
                    : named       ? "words as numbers (pandas: get_dummies)"
                                  : "its values as numbers");
    }

    static bool is_blank_row(const CsvReader& reader, index_t line) {
        bool blank = false;
        reader.for_each_row([&](index_t, index_t at, std::span<const CsvCell> cells) {
            if (at < line) return true;
            blank = std::ranges::all_of(cells, [](const CsvCell& cell) { return cell.text.empty(); });
            return false;
        });
        return blank;
    }

    std::vector<CsvReader> readers_;
    CsvColumns columns_;
    std::vector<index_t> begins_{0};  // first sample of each file, and the number of samples
    TargetWords words_;
    std::vector<ClassName> classes_;
    std::vector<std::string> warnings_;
    SampleHeader header_;
};

}  // namespace

std::unique_ptr<SampleSource> make_csv_source(const std::vector<std::string>& paths, const CsvKeys& keys,
                                              const std::string& with) {
    return std::make_unique<CsvSource>(paths, keys, with);
}

}  // namespace pruntrain
