#include <doctest/doctest.h>
#include <sys/stat.h>

#include "../support/data_files.hpp"

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
    CHECK(
        contains(file.error_of("1;2;3\n", ", target_columns: 3"), "no line with values"));  // "1;2;3" taken for a name
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
    CHECK(contains(file.error_of("1,2\n3,nan\n"), "line 2 column 2: 'nan' is no finite number"));
    CHECK(contains(file.error_of("1,2\n3,1e39\n"), "line 2 column 2: '1e39' is no finite number"));
    CHECK(contains(file.error_of("1,2\nx,y\n"), "line 2 column 1: 'x'"));  // only the first line may hold names
    CHECK(contains(file.error_of(""), "has no line with values"));
    CHECK(contains(file.error_of("x,y\n"), "has no line with values"));
    std::filesystem::remove(file.folder / "a.csv");
    CHECK(contains(input_error_of([&] { read_part(file.keys); }), "a.csv': no such file"));
    CHECK(contains(
        input_error_of([&] { read_part("format: csv, train_file: ., directory: " + file.folder.path().string()); }),
        "no such file"));
    REQUIRE(mkfifo((file.folder / "a.csv").c_str(), 0600) == 0);  // who opens a pipe waits for who writes
    CHECK(contains(input_error_of([&] { read_part(file.keys); }), "a.csv': no such file"));
}
