// Text files, one sample per line.
#include <algorithm>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/config/choose.hpp"
#include "pruntrain/data/file_list.hpp"
#include "src/data/csv_source.hpp"

namespace pruntrain {

namespace {

class Csv final : public DataFormat {
   public:
    Csv(Config config, FileList train, FileList test, CsvKeys keys, const DataNeeds& needs)
        : config_(std::move(config)),
          train_(std::move(train)),
          test_(std::move(test)),
          keys_(std::move(keys)),
          needs_(needs) {}

    std::unique_ptr<SampleSource> open(Part part) const override {
        const auto& files = part == Part::train ? train_ : test_;
        if (files.empty()) return nullptr;
        CsvKeys keys = keys_;
        keys.has_targets = needs_.targets_of(part);
        const bool compares = part == Part::test && needs_.training;
        auto source = make_csv_source(files.paths(), keys, compares ? train_.paths().front() : "");
        note_warnings(*source, config_);
        return source;
    }

   private:
    Config config_;
    FileList train_, test_;
    CsvKeys keys_;
    DataNeeds needs_;
};

char read_separator(const Config& config) {
    const std::string word = config.word(
        "separator", "auto",
        "separator between values: comma, semicolon, tab, bar, blank (any number of blanks and tabs), another single "
        "character, or auto: the one that fits the first lines");
    if (word == "auto") return CsvFormat::automatic;
    if (word == "comma") return ',';
    if (word == "semicolon") return ';';
    if (word == "tab" || word == "\\t") return '\t';
    if (word == "bar") return '|';
    if (word == "blank") return CsvFormat::blank;
    const bool usable = word.size() == 1 && is_plain_text(word) && !std::isalnum(static_cast<unsigned char>(word[0])) &&
                        std::string("\"'+-.").find(word) == std::string::npos;
    if (!usable && word != "\t")
        input_error(config.place_of("separator"), " is '", shown(word), "': allowed are auto, comma, semicolon, tab, ",
                    "blank, bar, or one character that is no letter, digit, quote, sign or point");
    return word[0];
}

CsvFormat read_format(const Config& config) {
    CsvFormat format;
    format.separator = read_separator(config);
    format.decimal_comma = choose_enum<bool>(config, "decimal", false, {{"point", false}, {"comma", true}},
                                             "decimal separator of the values");
    format.comment = config.word("comment", "#", "lines that begin with it are skipped; '' for none");
    format.skip_lines = config.integer("skip_lines", 0, at_least(0), "number of lines to skip at the start of a file");
    format.heading = choose_enum<CsvHeading>(
        config, "header", CsvHeading::automatic,
        {{"auto", CsvHeading::automatic}, {"yes", CsvHeading::yes}, {"no", CsvHeading::no}},
        "whether the first line has the names of the columns; auto: if it has no value, or words above values");
    format.skip_after_heading = config.integer("skip_after_header", 0, at_least(0),
                                               "number of lines to skip after the header, for instance of units");
    if (format.decimal_comma && format.separator == ',')
        input_error(config.place_of("decimal"), " is comma, so data.separator must not be comma");
    if (format.skip_after_heading > 0) {
        if (format.heading == CsvHeading::no)
            input_error(config.place_of("skip_after_header"), " needs a header, but data.header is no: use ",
                        "data.skip_lines");
        format.heading = CsvHeading::yes;
    }
    return format;
}

}  // namespace

std::unique_ptr<DataFormat> make_csv(const Config& config, const DataNeeds& needs) {
    const std::string directory = read_directory(config, ".");
    const FileList train(config, directory, "train_file", std::nullopt,
                         "files with the training samples, read one after the other; part_*.csv: all that match");
    const FileList test(config, directory, "test_file", "", "files with the test samples; '' for none");
    CsvKeys keys;
    keys.format = read_format(config);
    keys.target = config.words("target", std::vector<std::string>{"last"},
                               "target columns: last, first, or columns by name or by number from 1; words in a single "
                               "target column are class names, numbered in sorted order");
    keys.target_columns =
        config.integer("target_columns", 1, at_least(1), "number of target columns, with target first or last");
    keys.inputs = config.words("inputs", std::vector<std::string>{},
                               "input columns in this order, by name or by number from 1; []: all but the target and "
                               "those left out. evaluate takes the columns that the training had, by name");
    keys.leave_out =
        config.words("leave_out", std::vector<std::string>{}, "columns not to use, by name or by number from 1");
    keys.index_column = choose_enum<IndexColumn>(
        config, "index_column", IndexColumn::refuse,
        {{"refuse", IndexColumn::refuse}, {"drop", IndexColumn::drop}, {"keep", IndexColumn::keep}},
        "a first column that counts the samples or has no name; refuse: ends with an error; drop: leaves it out; keep: "
        "it "
        "is an input");
    keys.shape = read_shape(config, {}, "[channels, rows, columns] of image inputs; [] for flat inputs");
    if (train.empty()) input_error(config.place_of("train_file"), " must name a file");
    if (keys.target.empty()) input_error(config.place_of("target"), " must name a column");
    const bool by_place = keys.target.front() == "first" || keys.target.front() == "last";
    if (by_place ? keys.target.size() > 1 : keys.target_columns > 1 && !config.is_describing())
        input_error(config.place_of("target"), ": give either the names of all target columns, or first or last with ",
                    "data.target_columns");
    return std::make_unique<Csv>(config, train, test, keys, needs);
}

}  // namespace pruntrain
