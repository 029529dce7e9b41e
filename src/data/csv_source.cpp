#include "src/data/csv_source.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/io/csv_number.hpp"

namespace pruntrain {

namespace {

std::string quoted(std::string_view word) { return "'" + shown(word.substr(0, 40)) + "'"; }

bool has_letter(std::string_view word) {
    return std::ranges::any_of(word, [](char letter) {
        return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter & 0x80) != 0;
    });
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
            if (!is_plain_text(word))
                input_error(place, ": ", quoted(word),
                            " is no finite number, and no text in UTF-8: convert the file (iconv -f ",
                            "WINDOWS-1252 -t UTF-8), or save it as UTF-8");
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

/// Whether the first column counts the samples of a file.
class IndexCheck {
   public:
    void add(std::string_view word) {
        if (!increases_) return;
        const auto value =
            word.size() < 10 && is_index(word) ? std::optional(std::stol(std::string(word))) : std::nullopt;
        increases_ = value && (rows_ == 0 || *value > last_);
        counts_ = increases_ && counts_ && (rows_ == 0 ? *value <= 1 : *value == last_ + 1);
        last_ = value.value_or(0);
        ++rows_;
    }
    void check(const CsvReader& reader) const {
        constexpr index_t few = 5;  // rows that may count by chance
        const auto& names = reader.layout().names;
        if (!increases_ || rows_ < few) return;
        if (counts_) refuse_index_column(reader, text("counts up to ", last_));
        if (!names.empty() && is_name_of_index(names[0])) refuse_index_column(reader, "increases by whole numbers");
    }

   private:
    bool counts_ = true, increases_ = true;
    long last_ = 0;
    index_t rows_ = 0;
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

    static void check_same_columns(const CsvReader& first, const CsvReader& other) {
        const CsvLayout &one = first.layout(), &two = other.layout();
        const auto differ = [&](const auto&... how) {
            input_error("'", other.path(), "' has other columns than '", first.path(), "': ", how...,
                        "; files read together need the same columns in the same order");
        };
        if (one.columns != two.columns) differ(two.columns, " instead of ", one.columns);
        for (std::size_t i = 0; i < std::min(one.names.size(), two.names.size()); ++i)
            if (one.names[i] != two.names[i]) differ(quoted(two.names[i]), " instead of ", quoted(one.names[i]));
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
        reader.for_each_row(
            [&](index_t row, index_t line, std::span<const CsvCell> cells) {
                rows = row + 1;
                if (columns_.may_be_index) index.add(cells[0].text);
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
        if (columns_.may_be_index) index.check(reader);
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
        const std::size_t first = columns_.inputs.front();
        if (std::ranges::all_of(columns_.inputs, is_word))
            input_error(
                reader.place(line, first), ": ", quoted(cells[first].text), " is no finite number, and no input ",
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
        const CsvLayout& layout = reader.layout();
        std::string reason = why_no_number(word, reader.format().decimal_comma);
        if (reason == "is no finite number" && has_letter(word)) {
            const std::string name = column < layout.names.size() && !layout.names[column].empty()
                                         ? shown(layout.names[column])
                                         : text(column + 1);
            reason = std::string(what) == "input" ? text("is no finite number: leave the column out (data.leave_out=[",
                                                         name, "]), make it the target (data.target=", name,
                                                         "), or write words as numbers (pandas: ", "get_dummies)")
                                                  : "is no finite number: several targets must all be numbers";
        }
        input_error(reader.place(line, column), ": ", quoted(word), " ", reason, " (", what,
                    sample < 0 ? "" : text(" of sample ", sample), ")");
    }

    std::vector<CsvReader> readers_;
    CsvColumns columns_;
    std::vector<index_t> begins_{0};  // first sample of each file, and the number of samples
    TargetWords words_;
    std::vector<ClassName> classes_;
    SampleHeader header_;
};

}  // namespace

std::unique_ptr<SampleSource> make_csv_source(const std::vector<std::string>& paths, const CsvKeys& keys,
                                              const std::string& with) {
    return std::make_unique<CsvSource>(paths, keys, with);
}

}  // namespace pruntrain
