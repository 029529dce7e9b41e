#include <doctest/doctest.h>
#include <sys/stat.h>

#include "../support/data_files.hpp"
#include "pruntrain/base/text.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

struct File {
    TemporaryFolder folder;
    std::string keys = "format: csv, train_file: a.csv, directory: " + folder.path().string();

    Samples read(const std::string& content, const std::string& more_keys = "") const {
        put_content(folder / "a.csv", content);
        return read_part(keys + more_keys);
    }
    std::string error_of(const std::string& content, const std::string& more_keys = "") const {
        return input_error_of([&] { read(content, more_keys); });
    }
};

}  // namespace

TEST_CASE("csv: numbers, with and without column names, blanks and other line ends") {
    const File file;
    for (const std::string content : {"1,2.5,0\n-3,4e1,1\n", "a,1x1,label\n1,2.5,0\n-3,4e1,1",
                                      "1,2.5,0\r\n-3,4e1,1\r\n", "\n 1 ,\t2.5, 0\n\n-3,40 ,1 \n\n"}) {
        CAPTURE(content);
        const Samples samples = file.read(content);
        CHECK(samples.features == std::vector<float>{1, 2.5, -3, 40});
        CHECK(samples.targets == std::vector<float>{0, 1});
        CHECK(samples.header.shape == Shape{2, 1, 1});
        CHECK(samples.header.samples == 2);
    }
    CHECK(file.read("1e-60,0\n").features == std::vector<float>{0});
}

TEST_CASE("csv: places of targets, separators, shapes") {
    const File file;
    Samples samples = file.read("7;1;2;3;4\n8;5;6;7;8", ", target: first, separator: semicolon, shape: [1, 2, 2]");
    CHECK(samples.header.shape == Shape{1, 2, 2});
    CHECK(samples.targets == std::vector<float>{7, 8});
    CHECK(samples.features == std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
    samples = file.read("1\t2\t3\n4\t5\t6\n", ", separator: tab, target_columns: 2");
    CHECK(samples.features == std::vector<float>{1, 4});
    CHECK(samples.targets == std::vector<float>{2, 3, 5, 6});
    CHECK(samples.header.target_width == 2);
    CHECK(contains(file.error_of("1,2,3\n", ", shape: [1, 2, 2]"), "has 2 input columns, but data.shape 1x2x2"));
    CHECK(contains(file.error_of("1,2,3\n", ", shape: [1, 2]"), "[features] or [channels, rows, columns]"));
    CHECK(contains(file.error_of("1,2,3\n", ", shape: 1.5"), "expected integers"));
    CHECK(contains(file.error_of("1,2,3\n", ", shape: [10000, 10000, 10000]"), "a product of at most"));
    CHECK(contains(file.error_of("1;2;3\n", ", separator: comma"), "no line with values"));  // "1;2;3" taken for a name
    CHECK(contains(file.error_of("1,2,3\n", ", target_columns: 3"), "none is left for inputs"));
}

TEST_CASE("csv: wrong lines are named by their number") {
    const File file;
    CHECK(contains(file.error_of("1,2\n\n3,4,5\n"), "line 3 has 3 columns, the lines before have 2"));
    CHECK(contains(file.error_of("x,y\n1,2\n3\n"), "line 3 has 1 columns, the lines before have 2"));
    CHECK(contains(file.error_of("1,2\n3,four\n"), "line 2 column 2: 'four' is no finite number"));
    CHECK(contains(file.error_of("1,2\n3,4x\n"), "line 2 column 2: '4x' is no finite number"));
    CHECK(contains(file.error_of("1,2\n3,\x1B[2J\n"), "line 2 column 2: '?[2J' is no finite number"));
    CHECK(contains(file.error_of("1,2\n,4\n"), "line 2 column 1: '' is no finite number"));
    CHECK(contains(file.error_of("a,b,c\n1,2,0\n,,\n"), "line 3 has no values, only separators: remove the line"));
    CHECK(contains(file.error_of("a,b\n,\n1,2\n"), "line 2 has no values"));
    CHECK(contains(file.error_of(",,\n1,2,0\n"), "line 1 has no values"));
    CHECK(contains(file.error_of("1,2\n3,nan\n"), "line 2 column 2: 'nan' is no finite number"));
    CHECK(contains(file.error_of("1,2\n3,1e39\n"), "line 2 column 2: '1e39' is no finite number"));
    CHECK(contains(file.error_of("1,2\nx,y\n"), "line 2 column 2: 'y'"));  // only the first line may hold names
    CHECK(contains(file.error_of(""), "has no line with values"));
    CHECK(contains(file.error_of("x,y\n"), "has no line with values"));
    std::filesystem::remove(file.folder / "a.csv");
    CHECK(contains(input_error_of([&] { read_part(file.keys); }), "a.csv': No such file"));
    CHECK(contains(
        input_error_of([&] { read_part("format: csv, train_file: ., directory: " + file.folder.path().string()); }),
        "it is a folder; name a file in it"));
    CHECK(contains(input_error_of([&] { read_part("format: csv, train_file: /dev/null"); }),
                   "'/dev/null': it is a device, a pipe or a socket"));
    REQUIRE(mkfifo((file.folder / "a.csv").c_str(), 0600) == 0);  // who opens a pipe waits for who writes
    CHECK(contains(input_error_of([&] { read_part(file.keys); }), "a.csv': it is a device, a pipe"));
}

TEST_CASE("csv: every way to write the same table gives the same samples") {
    const File file;
    const std::vector<std::pair<std::string, std::string>> tables{
        {"1,2.5,0\n-3,40,1\n", ""},
        {"\xEF\xBB\xBF"
         "1,2.5,0\n-3,40,1\n",
         ""},
        {"\xEF\xBB\xBF\"a\",\"b\",\"class\"\r\n\"1\",\"2.5\",\"0\"\r\n\"-3\",\"40\",\"1\"\r\n", ""},
        {"1,2.5,0\r-3,40,1\r", ""},  // line ends of old Macs
        {"a,b,class\r1,2.5,0\r-3,40,1", ""},
        {"1;2.5;0\n-3;40;1\n", ""},
        {"1\t2.5\t0\n-3\t40\t1\n", ""},
        {"1|2.5|0\n-3|40|1\n", ""},
        {"1:2.5:0\n-3:40:1\n", ", separator: ':'"},
        {"  1.0e+00 2.5e+00   0\n -3.0e+00  4.0e+01 1 \n", ""},  // numpy.savetxt, Fortran
        {"1 \t2.5\t\t0\n-3  40 1\n", ", separator: blank"},
        {"1;2,5;0\n-3;4e1;1\n", ", decimal: comma"},
        {"a;b;class\r\n1,0;2,5;0\r\n-3,0;40,0;1\r\n", ", decimal: comma"},  // Excel in German
        {"1\t2,5\t0\n-3\t40,0\t1\n", ", decimal: comma"},
        {"1 2,5 0\n-3 40,0 1\n", ", decimal: comma"},
        {"+1,+2.5E+00,0\n-3,+4.0e+1,1\n", ""},
        {"0.1D+01,2.5d0,0\n-3.,.4D2,1\n", ""},                    // Fortran
        {"1.000000000000000-000,2.5+000,0\n-3,0.4+002,1\n", ""},  // its exponents of three digits
        {"1,2.5,0,\n-3,40,1,\n", ""},
        {"a,b,class,\n1,2.5,0,\n-3,40,1,\n", ""},
        {"a,b,class\n1,2.5,0,\n-3,40,1,\n", ""},
        {"a;b;class;;\n1;2.5;0;;\n-3;40;1;;\n", ""},
        {"# made by x\n1,2.5,0\n  # more\n-3,40,1\n", ""},
        {"% made by x, y and z\n1,2.5,0\n-3,40,1\n", ", comment: '%'"},
        {"sensor 7; room 2\nRuhr\n1,2.5,0\n-3,40,1\n", ", skip_lines: 2"},
        {"a,b,class\nm,kg,-\n1,2.5,0\n-3,40,1\n", ", skip_after_header: 1"},
        {"a,b,class\nm,kg,-\nmin,max,none\n1,2.5,0\n-3,40,1\n", ", skip_after_header: 2"},
        {"\"a\",\"b\nin kg\",\"class \"\"x\"\"\"\n1,2.5,0\n\"-3\" , \" 40\",1\n", ""},
        {"\"a\r\nlong\",b,class\r\n1,2.5,0\r\n-3,40,1\r\n", ""},        // line breaks within quotes
        {"\"a\" \"b\" \"class\"\n\"1\" 1 2.5 0\n\"2\" -3 40 1\n", ""},  // R's write.table
        {"a,b,class\n1,1,2.5,0\nx,-3,40,1\n", ""},
        {"\"\",\"a\",\"b\",\"class\"\n\"1\",1,2.5,0\n\"2\",-3,40,1\n", ", index_column: drop"},
        {",a,b,class\n7,1,2.5,0\n9,-3,40,1\n", ", index_column: drop"},
        {",0,1,2\n7,1,2.5,0\n9,-3,40,1\n", ", index_column: drop"},  // pandas without names
        {"0,1,2\n1,2.5,0\n-3,40,1\n", ", header: yes"},
        {"\"1\",\"2\",\"3\"\n1,2.5,0\n-3,40,1\n", ""},
        {"60,setosa,virginica\n1,2.5,0\n-3,40,1\n", ""},                      // scikit-learn's iris.csv
        {"# a b class\n1 2.5 0\n-3 40 1\n", ", header: yes, target: class"},  // numpy.savetxt with a header
        {"class,a,b\n0,1,2.5\n1,-3,40\n", ", target: class"},
        {"a,class,b\n1,0,2.5\n-3,1,40\n", ", target: 2"},
        {"id,a,class,b\n7,1,0,2.5\n5,-3,1,40\n", ", target: class, leave_out: [id]"},
        {"7,1,0,2.5\n5,-3,1,40\n", ", target: 3, leave_out: 1"},
        {"day,a,b,class,text\nMo,1,2.5,0,\"x, y\"\nTu,-3,40,1,z\n", ", leave_out: [text, day]"},
        {"day,b,a,class\nMo,2.5,1,0\nTu,40,-3,1\n", ", inputs: [a, b]"},
        {"class,b,text,a\n0,2.5,x,1\n1,40,y,-3\n", ", inputs: [a, b], target: first"},
        {"1,2,class,0\n2.5,1,0,7\n40,-3,1,5\n", ", inputs: [2, 1], target: class, header: yes"},  // names of columns
        {"id,b,a,class\n0,2.5,1,0\n1,40,-3,1\n", ", inputs: [3, 2], leave_out: [none], index_column: drop"},
    };
    for (const auto& [content, keys] : tables) {
        CAPTURE(content);
        CAPTURE(keys);
        Samples samples;
        CHECK(file.error_of(content, keys) == "");
        if (file.error_of(content, keys).empty()) samples = file.read(content, keys);
        CHECK(samples.features == std::vector<float>{1, 2.5, -3, 40});
        CHECK(samples.targets == std::vector<float>{0, 1});
    }
    put_gz_content(file.folder / "a.csv", "1,2.5,0\n-3,40,1\n");
    CHECK(read_part(file.keys).features == std::vector<float>{1, 2.5, -3, 40});
    CHECK(file.read("1,2,3,4\n5,6,7,9\n", ", target: [4, 1]").targets == std::vector<float>{4, 1, 9, 5});
    CHECK(file.read("b\"5,x\n1,0\n2,1\n").features == std::vector<float>{1, 2});  // a quote within a name
}

TEST_CASE("csv: what may be understood in two ways is refused with the key that decides") {
    const File file;
    const std::vector<std::tuple<std::string, std::string, std::string>> tables{
        {"0,1,2\n1.5,2,0\n2.5,3,1\n", "", "line 1 counts 0, 1, ...: set data.header=yes"},
        {"2019,2020,2021\n1.5,2,0\n2.5,3,1\n", "", "line 1 counts 2019, 2020"},
        {"1,2\n1.5,0\n2.5,1\n", "", "data.header=yes"},
        {"2019,2021,class\n1.5,2,0\n2.5,3,1\n", "", "line 1 has numbers, and a word in a column of numbers"},
        {"2019,2021,class\n1.5,2,x\n2.5,3,y\n2.5,3,x\n2.5,3,y\n", "", "the class 'class', which no other line has"},
        {",a,class\n0,1.5,0\n1,2.5,1\n", "", "column 1 has no name"},
        {"\"\" \"a\" \"class\"\n\"1\" 1.5 0\n", "", "data.index_column=drop"},
        {"Unnamed: 0,a,class\n4,1.5,0\n2,2.5,1\n", "", "column 1 (Unnamed: 0) has no name"},
        {"n,a,class\n0,9,0\n1,8,1\n2,7,0\n3,6,1\n4,5,0\n", "", "column 1 (n) counts up to 4"},
        {"1,9,0\n2,8,1\n3,7,0\n4,6,1\n5,5,0\n", "", "column 1 counts up to 5"},
        {"Id,a,class\n10,9,0\n11,8,1\n20,7,0\n30,6,1\n40,5,0\n", "", "(Id) increases by whole numbers"},
        {"a,b,class\nm,kg,-\n1,2,0\n", "", "line 2 column 1 (a): 'm' is no finite number, and no input"},
        {"a,b,class\n1,2,0\n", ", target: clas", "no such column (did you mean 'class'?)"},
        {"a,b,class\n1,2,0\n", ", target: 4", "its columns are a, b, class"},
        {"1,2,0\n", ", target: class", "has no heading: use a number from 1 to 3"},
        {"1,2,0\n", ", target: 0", "has no heading"},
        {"a,a,class\n1,2,0\n", ", leave_out: a", "two columns of this name"},
        {"3,2,class\n1.5,2,0\n", ", header: yes, target: 3", "that name in column 1 and another in column 3"},
        {"a,b,class\n1,2,0\n", ", target: class, leave_out: class", "drops the column"},
        {"a,b,class\n1,2,0\n", ", target: [class, class]", "twice"},
        {"a,b,class\n1,2,0\n", ", inputs: [a, a]", "data.inputs has column a twice"},
        {"a,b,class\n1,2,0\n", ", inputs: [a, c]", "data.inputs is 'c', but "},
        {"a,b,class\n1,2,0\n", ", inputs: [b, class], target: class", "data.inputs has this column too"},
        {"a,b\n1,2\n", ", inputs: [a, b]", "has 0 columns besides the inputs, and 1 should be targets"},
        {"a,b,class\n1,2,0\n", ", leave_out: [a, b]", "none is left for inputs"},
        {"a,b,class\n1,2,0\n", ", target: [a, b], target_columns: 2", "data.target"},
        {"a,b,class\n1,2,0\n", ", target: [last, a]", "data.target"},
        {"a,b,class\n1,2,0\n", ", separator: x", "allowed are auto, comma"},
        {"a,b,class\n1,2,0\n", ", separator: comma, decimal: comma", "must not be comma"},
        {"a,b,class\n1,2,0\n", ", header: no, skip_after_header: 1", "data.skip_lines"},
        {"title\na,b,class\n1,2,0\n", "", "the heading in line 1 has 1"},
        {"x;y;class\n1,5;2,5;0\n3;4,5;1\n", "", "(x): '1,5' is no finite number: set data.decimal=comma"},
        {"x\ty\n1,5\t2,5\n", "", "'1,5' is no finite number: set data.decimal=comma"},
        {"day,class\n2020-01-31,0\n2020-02-01,1\n", "", "looks like a date or a time: leave the column out"},
        {"a,b,class\n5,1.5,0\n7,2,1\n", ", index_column: drop",
         "drop, but column 1 (a) of '" + (file.folder / "a.csv").string() +
             "' is no index: it has a name, and the value '7' after '5'"},
        {"a,b,class\n5,1.5,0\n7,2,1\n", ", index_column: drop", "data.leave_out=[a]"},
        {"1.5,2,0\n2.5,3,1\n", ", index_column: drop", "is no index: it has the value '1.5', while an index"},
        {"x,2,0\ny,3,1\n", ", index_column: drop, header: no", "data.leave_out=[1]"},
        {"\"a,b\",b,class\n5,1,0\n7,2,1\n", ", index_column: drop", "data.leave_out=[1]"},
    };
    for (const auto& [content, keys, message] : tables) {
        CAPTURE(content);
        CAPTURE(keys);
        const std::string error = file.error_of(content, keys);
        CAPTURE(error);
        CHECK(contains(error, message));
    }
    // The key decides.
    CHECK(file.read("0,1,2\n1.5,2,0\n", ", header: no").header.samples == 2);
    CHECK(file.read("0,1,2\n1.5,2,0\n", ", header: yes").header.samples == 1);
    CHECK(file.read("1,9,0\n2,8,1\n3,7,0\n4,6,1\n5,5,0\n", ", index_column: keep").header.shape.channels == 2);
    CHECK(file.read("1,9,0\n2,8,1\n3,7,0\n4,6,1\n5,5,0\n", ", index_column: drop").header.shape.channels == 1);
    CHECK(file.read("n,a,class\n800,9,0\n801,8,1\n", ", index_column: drop").header.shape.channels == 1);
    CHECK(file.read("Id,a,class\n8,9,0\n3,8,1\n", ", index_column: drop").header.shape.channels == 1);
    CHECK(file.read("r1,9,0\nr2,8,1\n", ", leave_out: 1, index_column: drop").header.shape.channels == 1);
    // A single input that counts is one, and rows of small integers are no heading.
    CHECK(file.read("1,0\n2,1\n3,0\n4,1\n5,0\n").header.samples == 5);
    CHECK(file.read("1,2,3\n4,5,6\n").header.samples == 2);
}

TEST_CASE("csv: what is no value is refused with place, name, sample and advice") {
    const File file;
    for (const std::string missing :
         {"", "NA", "nan", "NaN", "?", "NULL", "inf", "-Infinity", "#N/A", "\"\"", "1.#QNAN"}) {
        CAPTURE(missing);
        std::string error = file.error_of("a,b,class\n1,2,0\n3," + missing + ",1\n");
        CAPTURE(error);
        CHECK(contains(error, "line 3 column 2 (b): '"));
        CHECK(contains(error, "the value is missing"));
        CHECK(contains(error, "(input of sample 1)"));
        error = file.error_of("a,b,class\n1,2,0\n3,4," + missing + "\n");
        CHECK(contains(error, "line 3 column 3 (class): '"));
        CHECK(contains(error, "(target of sample 1)"));
        error = file.error_of("1," + missing + ",0\n3,4,1\n");  // in the first line too
        CHECK(contains(error, "line 1 column 2: '"));
    }
    const std::vector<std::tuple<std::string, std::string, std::string>> values{
        {"\"1,000\"", "", "write thousands without separators; if this is a decimal comma, set data.decimal=comma"},
        {"\"1,234,567.5\"", "", "write thousands without separators"},
        {"1'234", "", "write thousands without separators"},
        {"1 234", "", "write thousands without separators"},
        {"\"2,5\"", "", "set data.decimal=comma"},
        {"1.234", ", separator: semicolon, decimal: comma", "as data.decimal is comma"},
        {"***", "", "field of Fortran's output was too narrow"},
        {"3*1.5", "", "it repeats a value"},
        {"1e39", "", "allowed is up to 3.4e38"},
        {"1e999", "", "allowed is up to 3.4e38"},
        {"setosa", "", "leave the column out (data.leave_out=[b]), make it the target (data.target=b)"},
        {"TRUE", "", "data.leave_out=[b]"},
        {"2020-01", "",
         "but looks like a date or a time: leave the column out (data.leave_out=[b]), or write it as numbers"},
        {"2020-01-31 12:30:00", "", "looks like a date or a time"},
        {"31.01.2020", "", "looks like a date or a time"},
        {"1/31/2020", "", "looks like a date or a time"},
        {"12:30", "", "looks like a date or a time"},
        {"2020-101", "", "no finite number"},
        {"12%", "", "no finite number: leave the column out (data.leave_out=[b]), or write its values as numbers"},
        {"0x10", "", "no finite number"},
        {"4 # note", "", "no finite number"},
    };
    for (const auto& [value, keys, message] : values) {
        const char between = keys.empty() ? ',' : ';';
        const std::string content = text("a", between, "b", between, "class\n1", between, "2", between, "0\n3", between,
                                         value, between, "1\n5", between, "6", between, "0\n");
        CAPTURE(content);
        const std::string error = file.error_of(content, keys);
        CAPTURE(error);
        CHECK(contains(error, "a.csv' line 3 column 2 (b): '"));
        CHECK(contains(error, message));
    }
}

TEST_CASE("csv: files that are no such text are named") {
    const File file;
    const std::vector<std::pair<std::string, std::string>> contents{
        {std::string("\xFF\xFE") + std::string("1\0,\0", 4), "is UTF-16: save it as UTF-8"},
        {std::string("\xFE\xFF") + std::string("\0001\0,", 4), "is UTF-16"},
        {std::string("\xFF\xFE\0\0\x31\0\0\0", 8), "is UTF-32"},
        {std::string("1\0,\0002\0", 6), "has bytes that are 0"},
        {"PK\x03\x04rest", "Excel workbook"},
        {"\x89HDF\r\n", "set data.format=hdf5"},
        {"\x93NUMPY", "set data.format=npy"},
        {"<!DOCTYPE html>\n1,2\n", "is a web page"},
        {"1,2,0\n\"3,4,1\n5,6,0\n", "line 2: a quote (\") is opened and never closed"},
        {"1,2,0\n\"3\"4,4,1\n", "line 2 column 1 has text after a closing quote"},
        {"", "has no line with values"},
        {"\xEF\xBB\xBF", "has no line with values"},
        {"# nothing\n", "has no line with values"},
        {"a,b\n", "has no line with values"},
        {"1,2,\n3,4,\n5,6,7\n", "line 3 ends with '7' in a column that is empty in the lines before"},
    };
    for (const auto& [content, message] : contents) {
        CAPTURE(content);
        const std::string error = file.error_of(content);
        CAPTURE(error);
        CHECK((contains(error, message) || (content.ends_with("7\n") && contains(error, "value is missing"))));
    }
}

TEST_CASE("csv: words as classes") {
    const File file;
    const auto classes_of = [&](const std::string& keys) {
        const auto source = data_formats().find("csv")(data_section(keys), {})->open(Part::train);
        std::vector<std::string> names;
        for (const ClassName& one : *source->classes()) names.push_back(one.name);
        return names;
    };
    using Names = std::vector<std::string>;
    Samples samples = file.read("a,species\n1,virginica\n2,setosa\n3,\"virginica\"\n4,\"Iris, blue\"\n");
    CHECK(samples.targets == std::vector<float>{2, 1, 2, 0});
    CHECK(classes_of(file.keys) == Names{"Iris, blue", "setosa", "virginica"});
    for (const auto& [no, yes] : std::vector<std::pair<std::string, std::string>>{
             {"false", "true"}, {"FALSE", "TRUE"}, {"False", "True"}, {"no", "yes"}, {"F", "T"}, {"n", "y"}}) {
        samples = file.read("1.5," + yes + "\n2," + no + "\n4," + yes + "\n5," + no + "\n");
        CHECK(samples.targets == std::vector<float>{1, 0, 1, 0});
        CHECK(classes_of(file.keys) == Names{no, yes});
    }
    file.read("1,\"0\"\n2,\"1\"\n");
    CHECK(classes_of(file.keys).empty());
    file.read("1,M\xC3\xBCnchen\n2,K\xC3\xB6ln\n");
    CHECK(classes_of(file.keys) == Names{"K\xC3\xB6ln", "M\xC3\xBCnchen"});
    CHECK(contains(file.error_of("1,x\n2,M\xFCnchen\n"),
                   "line 2 column 2: 'M?nchen' is no finite number, and no text in UTF-8"));
    for (const std::string name : {"one\ntwo", "one\ttwo", "one\xC2\x85two"})
        CHECK(contains(file.error_of("1,x\n2,\"" + name + "\"\n"), "has a line break or another control character"));
    CHECK(contains(file.error_of("1,x\n2,1\n3,y\n"), "line 1 column 2: 'x' is no finite number, but the target in"));
    CHECK(contains(file.error_of("1,x,y\n2,x,y\n", ", target_columns: 2"), "several targets must all be numbers"));
}

TEST_CASE("csv: lists and patterns of files") {
    const TemporaryFolder folder;
    const std::string keys = "format: csv, directory: " + folder.path().string() + ", train_file: ";
    put_content(folder / "part_2.csv", "a,class\n3,y\n");
    put_content(folder / "part_10.csv", "a,class\n4,z\n5,x\n");
    put_content(folder / "part_1.csv", "a,class\n1,x\n2,y\n");
    put_content(folder / "rest.csv", "6;x\n");
    for (const std::string files : {"'part_*.csv'", "[part_1.csv, 'part_[2-9].csv', part_10.csv]"}) {
        const Samples samples = read_part(keys + files);
        CHECK(samples.features == std::vector<float>{1, 2, 3, 4, 5});
        CHECK(samples.targets == std::vector<float>{0, 1, 1, 2, 0});
    }
    // The message says which of two files has an index.
    const auto error = [&](const std::string& more) { return input_error_of([&] { read_part(keys + more); }); };
    put_content(folder / "index.csv", ",a,class\n0,4,z\n1,5,x\n");
    put_content(folder / "id.csv", "id,a,class\n70,4,z\n60,5,x\n");
    put_content(folder / "counts.csv", "7,1,x\n8,2,y\n");
    for (const std::string index_column : {"", ", index_column: drop"}) {
        CHECK(contains(error("[part_1.csv, index.csv]" + index_column), "index.csv' has an index, column 1, and '"));
        CHECK(contains(error("[id.csv, part_1.csv]" + index_column), "id.csv' has an index, column 1 (id), and '"));
        CHECK(contains(error("[rest.csv, counts.csv]" + index_column), "rest.csv' has none"));
        CHECK(contains(
            input_error_of([&] { read_part(keys + "part_1.csv, test_file: index.csv" + index_column, Part::test); }),
            "part_1.csv' has none: files read together need the same columns"));
    }
}

TEST_CASE("csv: comments between samples are counted in a warning") {
    const File file;
    const auto warnings_of = [&](const std::string& content, const std::string& keys = "") {
        put_content(file.folder / "a.csv", content);
        const Config section = data_section(file.keys + keys);
        data_formats().find("csv")(section, {})->open(Part::train);
        data_formats().find("csv")(section, {})->open(Part::train);  // opened again, it says nothing twice
        return join(section.notes(), "\n");
    };
    CHECK(warnings_of("# title\na,class\n# m\n1,0\n2,1\n") == "");
    CHECK(warnings_of("1,0\n#5,1\n2,1\n\n # x\n") ==
          "warning: '" + (file.folder / "a.csv").string() +
              "': 2 lines after the first sample begin with '#', from line 2 on: skipped as comments; if they are "
              "samples, set data.comment to ''");
    CHECK(contains(warnings_of("a,class\n1,0\n%5,1\n", ", comment: '%'"),
                   "1 line after the first sample begins with '%'"));
}
