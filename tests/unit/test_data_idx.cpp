#include <doctest/doctest.h>

#include "../support/data_files.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

const std::string images = idx_content({3, 2, 2}, std::string("\x00\x01\x02\x03\x10\x11\x12\x13\xFD\xFE\xFF\x80", 12));
const std::string labels = idx_content({3}, std::string("\x07\x00\x02", 3));

/// Writes the two training files and tells what reading them says.
std::string error_of(const std::string& image_file, const std::string& label_file) {
    const TemporaryFolder folder;
    put_content(folder / "train-images-idx3-ubyte", image_file);
    put_content(folder / "train-labels-idx1-ubyte", label_file);
    return input_error_of([&] { read_part("format: idx, directory: " + folder.path().string()); });
}

void check_content(const Samples& samples) {
    CHECK(samples.header.samples == 3);
    CHECK(samples.header.shape == Shape{1, 2, 2});
    CHECK(samples.header.target_width == 1);
    CHECK(samples.header.element == Element::byte);
    CHECK(samples.features == std::vector<float>{0, 1, 2, 3, 16, 17, 18, 19, 253, 254, 255, 128});
    CHECK(samples.targets == std::vector<float>{7, 0, 2});
}

}  // namespace

TEST_CASE("idx: plain, compressed and named files hold the same samples") {
    const TemporaryFolder folder;
    put_content(folder / "train-images-idx3-ubyte", images);
    put_gz_content(folder / "train-labels-idx1-ubyte.gz", labels);
    check_content(read_part("format: idx, directory: " + folder.path().string()));
    put_gz_content(folder / "a.gz", images);
    const std::string test_files = ", test_inputs: a, test_targets: train-labels-idx1-ubyte";
    check_content(read_part("format: idx, directory: " + folder.path().string() + test_files, Part::test));
}

TEST_CASE("idx: four dimensions are channels, rows and columns; two are flat") {
    const TemporaryFolder folder;
    put_content(folder / "y", labels);
    put_content(folder / "x", idx_content({3, 2, 1, 2}, std::string(12, 'x')));
    const std::string keys =
        "format: idx, directory: " + folder.path().string() + ", train_inputs: x, train_targets: y";
    CHECK(read_part(keys).header.shape == Shape{2, 1, 2});
    put_content(folder / "x", idx_content({3, 4}, std::string(12, 'x')));
    CHECK(read_part(keys).header.shape == Shape{4, 1, 1});
    put_content(folder / "x", idx_content({3}, "xyz"));
    CHECK(contains(input_error_of([&] { read_part(keys); }), "holds inputs of 3: allowed are (samples, features)"));
}

TEST_CASE("idx: all element types, as inputs and as labels") {
    const TemporaryFolder folder;
    const std::string keys =
        "format: idx, directory: " + folder.path().string() + ", train_inputs: x, train_targets: y";
    const auto check = [&](char code, const std::string& three, const std::vector<float>& expected) {
        CAPTURE(static_cast<int>(code));
        std::string content = idx_content({3, 1}, three);
        content[2] = code;
        put_content(folder / "x", content);
        put_content(folder / "y", labels);
        CHECK(read_part(keys).features == expected);
        put_content(folder / "x", idx_content({3, 1}, "abc"));
        content = idx_content({3}, three);
        content[2] = code;
        put_content(folder / "y", content);
        CHECK(read_part(keys).targets == expected);
    };
    check(0x08, {"\x00\x01\xFF", 3}, {0, 1, 255});
    check(0x09, {"\x00\x01\xFF", 3}, {0, 1, -1});
    check(0x0B, {"\x00\x01\x01\x00\xFF\xFE", 6}, {1, 256, -2});
    check(0x0C, {"\0\0\0\1\0\1\0\0\xFF\xFF\xFF\xFE", 12}, {1, 65536, -2});
    check(0x0D, {"\x3F\x80\0\0\xC0\0\0\0\x3F\0\0\0", 12}, {1, -2, 0.5});
    check(0x0E, {"\x3F\xF0\0\0\0\0\0\0\xC0\0\0\0\0\0\0\0\x3F\xE0\0\0\0\0\0\0", 24}, {1, -2, 0.5});
}

TEST_CASE("idx: of several columns of labels, one is chosen by its key") {
    const TemporaryFolder folder;
    put_content(folder / "x", images);
    std::string qmnist = idx_content({3, 2}, {"\0\0\0\4\0\0\0\7\0\0\0\2\0\0\0\x8\0\0\0\1\0\0\0\x9", 24});
    qmnist[2] = '\x0C';
    put_content(folder / "y", qmnist);
    const std::string keys =
        "format: idx, directory: " + folder.path().string() + ", train_inputs: x, train_targets: y";
    CHECK(contains(input_error_of([&] { read_part(keys); }),
                   "holds targets of 3x2: set data.label_column to the column with the class labels (0 in QMNIST)"));
    CHECK(read_part(keys + ", label_column: 0").targets == std::vector<float>{4, 2, 1});
    CHECK(read_part(keys + ", label_column: 1").targets == std::vector<float>{7, 8, 9});
    CHECK(read_part(keys + ", label_column: all").header.target_width == 2);
    CHECK(contains(input_error_of([&] { read_part(keys + ", label_column: 2"); }), "2 columns: allowed are 0 to 1"));
    for (const std::string wrong : {"-1", "first", "1.5", "''"})
        CHECK(
            contains(input_error_of([&] { read_part(keys + ", label_column: " + wrong); }), "allowed are all, and 0"));
    put_content(folder / "y", idx_content({3, 1}, "\x07\x05\x02"));  // one column needs no choice
    CHECK(read_part(keys).targets == std::vector<float>{7, 5, 2});
}

TEST_CASE("idx: no test files") {
    const auto open_test = [](const std::string& keys) {
        const Config section = data_section(keys);
        return data_formats().find("idx")(section, {})->open(Part::test);
    };
    CHECK(open_test("test_inputs: '', test_targets: ''") == nullptr);
    CHECK(contains(input_error_of([&] { open_test("test_inputs: ''"); }), "test_inputs"));
    CHECK(contains(input_error_of([&] { open_test("train_inputs: ''"); }), "must name files"));
}

TEST_CASE("idx: damaged files are refused") {
    CHECK(error_of(images, labels) == "");
    CHECK(contains(error_of("\x89PNG\r\n" + images, labels), "is no IDX file"));
    std::string unknown = images;
    unknown[2] = '\x0A';
    CHECK(contains(error_of(unknown, labels), "IDX type 10: allowed are 8 (unsigned bytes), 9 (bytes), 11"));
    CHECK(contains(error_of("<html><head>", labels), "it seems to be a web page"));
    CHECK(contains(error_of(images, idx_content({2}, "\x01\x02")), "holds 3 samples, but"));
    CHECK(contains(error_of(images + "x", labels), "is longer than its header announces"));
    CHECK(contains(error_of(idx_content({0, 2, 2}, ""), labels), "is empty: its dimensions are 0x2x2"));
    // cut off anywhere, in the header or after it
    for (std::size_t length = 0; length < images.size(); ++length)
        CHECK(error_of(images.substr(0, length), labels) != "");
}

TEST_CASE("idx: a header that lies takes no memory") {
    // 2^96 numbers, and a size that overflows 64 bits
    CHECK(contains(error_of(idx_content({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, "x"), labels), "room for 1 at most"));
    const TemporaryFolder folder;
    put_gz_content(folder / "x.gz", idx_content({60000, 28, 28}, "few"));
    put_content(folder / "y", labels);
    const std::string keys =
        "format: idx, directory: " + folder.path().string() + ", train_inputs: x, train_targets: y";
    CHECK(contains(input_error_of([&] { read_part(keys); }), "announces 60000x28x28 elements, but the file has room"));
    // below what deflate could compress: found when the content ends
    put_gz_content(folder / "x.gz", idx_content({3, 2, 2}, "few"));
    CHECK(contains(input_error_of([&] { read_part(keys); }), "too short: it ends 9 bytes before"));
}

TEST_CASE("idx: a compressed file that may hold what it announces is counted before memory is taken") {
    const TemporaryFolder folder;
    std::string numbers(200'000, 'x');
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<char>(i * i * 2654435761 >> 20);
    put_gz_content(folder / "x.gz", idx_content({60000, 40, 40}, numbers));
    put_content(folder / "y", labels);
    const Config section = data_section("directory: " + folder.path().string() + ", train_inputs: x, train_targets: y");
    CHECK(contains(input_error_of([&] { data_formats().find("idx")(section, {})->open(Part::train); }),
                   "x.gz' is too short: it ends 95800000 bytes before what its header announces"));
    put_gz_content(folder / "x.gz", idx_content({3, 5000, 5000}, std::string(75'000'000, '\0')));  // it does hold that
    CHECK(data_formats().find("idx")(section, {})->open(Part::train)->header().samples == 3);
}

TEST_CASE("idx: a compressed file that is cut off or changed is refused") {
    const TemporaryFolder folder;
    put_gz_content(folder / "x.gz", images);
    put_content(folder / "y", labels);
    const std::string keys =
        "format: idx, directory: " + folder.path().string() + ", train_inputs: x, train_targets: y";
    check_content(read_part(keys));
    const std::string whole = content_of(folder / "x.gz");
    for (std::size_t length = 0; length < whole.size(); ++length) {
        put_content(folder / "x.gz", whole.substr(0, length));
        CHECK_MESSAGE(input_error_of([&] { read_part(keys); }) != "", "cut at ", length);
    }
    std::string changed = whole;
    changed[changed.size() - 6] ^= 1;  // in the checksum of the content
    put_content(folder / "x.gz", changed);
    CHECK(contains(input_error_of([&] { read_part(keys); }), "x.gz: incorrect data check"));
}

TEST_CASE("idx: missing files and folders are named") {
    const TemporaryFolder folder;
    const std::string keys = "format: idx, directory: " + folder.path().string();
    CHECK(contains(input_error_of([&] { read_part(keys); }), "found neither '" + folder.path().string()));
    CHECK(contains(input_error_of([&] { read_part(keys + ", train_inputs: ."); }), "cannot read"));
}

TEST_CASE("idx: Fashion-MNIST as Debian installs it") {
    if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist")) return;
    const Samples train = read_part("format: idx");
    CHECK(train.header.samples == 60000);
    CHECK(train.header.shape == Shape{1, 28, 28});
    CHECK(std::vector<float>(train.targets.begin(), train.targets.begin() + 4) == std::vector<float>{9, 0, 0, 3});
    std::vector<int> counts(10);
    for (const float label : train.targets) ++counts[static_cast<std::size_t>(label)];
    CHECK(counts == std::vector<int>(10, 6000));  // balanced by design (Xiao et al. 2017)
    CHECK(read_part("format: idx", Part::test).header.samples == 10000);
}
