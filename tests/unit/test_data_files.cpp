// Data in several files, and the layouts of arrays.
#include <doctest/doctest.h>

#include <algorithm>

#include "../support/data_files.hpp"
#include "../support/h5_data.hpp"
#include "pruntrain/data/file_list.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

template <class T>
std::string npy_of(const std::string& type, const std::string& shape, const std::vector<T>& numbers) {
    return npy_content("{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + shape + "), }",
                       bytes_of(numbers));
}

struct Folder {
    TemporaryFolder folder;
    std::string keys = "format: npy, directory: " + folder.path().string();

    void put(const std::string& name, const std::string& content) const { put_content(folder / name, content); }
    void put_floats(const std::string& name, const std::string& shape, const std::vector<float>& numbers) const {
        put(name, npy_of("<f4", shape, numbers));
    }
    Samples read(const std::string& inputs, const std::string& targets, const std::string& more = "") const {
        return read_part(keys + ", train_inputs: " + inputs + ", train_targets: " + targets + more);
    }
    std::string error_of(const std::string& inputs, const std::string& targets, const std::string& more = "") const {
        return input_error_of([&] { read(inputs, targets, more); });
    }
};

}  // namespace

TEST_CASE("files: a list, or a pattern in natural order, is one array after the other") {
    const Folder folder;
    for (const int part : {10, 9, 2, 1}) {
        folder.put_floats(text("x_", part, ".npy"), "2, 1", {10.0F * static_cast<float>(part), 1});
        folder.put_floats(text("y_", part, ".npy"), "2,", {static_cast<float>(part), 0});
    }
    Samples samples = folder.read("'x_*.npy'", "'y_*.npy'");
    CHECK(samples.header.samples == 8);
    CHECK(samples.features == std::vector<float>{10, 1, 20, 1, 90, 1, 100, 1});
    CHECK(samples.targets == std::vector<float>{1, 0, 2, 0, 9, 0, 10, 0});
    samples = folder.read("[x_9.npy, x_1.npy]", "[y_9.npy, y_1.npy]");
    CHECK(samples.features == std::vector<float>{90, 1, 10, 1});
    CHECK(folder.read("['x_[12].npy', x_10.npy]", "['y_[12].npy', y_10.npy]").header.samples == 6);

    CHECK(contains(folder.error_of("'z_*.npy'", "y_1.npy"), "data.train_inputs"));
    CHECK(contains(folder.error_of("'z_*.npy'", "y_1.npy"), "no file matches '"));
    CHECK(contains(folder.error_of("'x_*.npy'", "'y_?.npy'"), "names 4 files from"));
    CHECK(contains(folder.error_of("'x_*.npy'", "'y_?.npy'"), "names 3 from"));
    CHECK(contains(folder.error_of("[x_1.npy, '']", "y_1.npy"), "empty name"));
    CHECK(contains(folder.error_of("[x_1.npy, none.npy]", "[y_1.npy, y_2.npy]"), "none.npy': No such file"));
}

TEST_CASE("files: ranges over several files, and files that do not agree") {
    const Folder folder;
    folder.put_floats("a.npy", "3, 2", {1, 2, 3, 4, 5, 6});
    folder.put_floats("b.npy", "1, 2", {7, 8});
    folder.put_floats("c.npy", "2, 2", {9, 10, 11, 12});
    folder.put_floats("la.npy", "3,", {1, 2, 3});
    folder.put_floats("lb.npy", "1,", {4});
    folder.put_floats("lc.npy", "2,", {5, 6});
    const Config section = data_section(folder.keys + ", train_inputs: [a.npy, b.npy, c.npy], train_targets: 'l?.npy'");
    const auto source = data_formats().find("npy")(section, {})->open(Part::train);
    REQUIRE(source->header().samples == 6);
    CHECK(source->reads_anywhere());
    for (index_t first = 0; first < 6; ++first)
        for (index_t count = 1; first + count <= 6; ++count) {
            std::vector<float> x(static_cast<std::size_t>(2 * count)), y(static_cast<std::size_t>(count));
            source->read(first, count, std::as_writable_bytes(std::span(x)), y);
            for (index_t n = 0; n < count; ++n) {
                CHECK(x[static_cast<std::size_t>(2 * n)] == static_cast<float>(2 * (first + n) + 1));
                CHECK(y[static_cast<std::size_t>(n)] == static_cast<float>(first + n + 1));
            }
            source->read(first, count, std::as_writable_bytes(std::span(x)), {});
            source->read(first, count, {}, y);
            CHECK(y.back() == static_cast<float>(first + count));
        }
    std::vector<double> first_features;
    source->visit(2, 3, [&](index_t sample, std::span<const double> features) {
        CHECK(sample == 2 + static_cast<index_t>(first_features.size()));
        first_features.push_back(features[0]);
    });
    CHECK(first_features == std::vector<double>{5, 7, 9});

    folder.put_floats("wide.npy", "1, 3", {7, 8, 9});
    const std::string wrong_shape = folder.error_of("[a.npy, wide.npy]", "[la.npy, lb.npy]");
    CHECK(contains(wrong_shape, "a.npy' has inputs of 2 values"));
    CHECK(contains(wrong_shape, "wide.npy' has inputs of 3 values"));
    folder.put("bytes.npy", npy_of("|u1", "1, 2", std::vector<std::uint8_t>{1, 2}));
    CHECK(contains(folder.error_of("[a.npy, bytes.npy]", "[la.npy, lb.npy]"), "bytes.npy' has inputs of 2 bytes"));
    CHECK(contains(folder.error_of("[a.npy, b.npy]", "[la.npy, lc.npy]"), "lc.npy' holds 2"));  // which pair
}

TEST_CASE("files: natural order") {
    std::vector<std::string> names{"p10", "p9", "p1", "p01", "p", "q0", "p1a", "p1.5", "P2", "p2b10", "p2b9"};
    std::ranges::sort(names, natural_less);
    CHECK(names == std::vector<std::string>{"P2", "p", "p01", "p1", "p1.5", "p1a", "p2b9", "p2b10", "p9", "p10", "q0"});
    for (const std::string& name : names) CHECK_FALSE(natural_less(name, name));
}

TEST_CASE("files: names with brackets are names where such a file exists; folders are no patterns") {
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder / "run[1]");
    const std::string keys = "format: npy, directory: '" + (folder / "run[1]").string() + "'";
    put_content(folder / "run[1]/x[1].npy", npy_of("<f4", "1, 1", std::vector<float>{3}));
    put_content(folder / "run[1]/y.npy", npy_of("<f4", "1,", std::vector<float>{1}));
    CHECK(read_part(keys + ", train_inputs: 'x[1].npy', train_targets: 'y*'").features == std::vector<float>{3});
}

TEST_CASE("files: hdf5 files and packed idx files in lists") {
    const Folder folder;
    for (const int part : {1, 2}) {
        const std::string path = (folder.folder / text("part_", part, ".h5")).string();
        write_h5(path, "inputs", H5T_NATIVE_FLOAT, {1, 2},
                 std::vector<float>{1.0F * static_cast<float>(part), 0}.data());
        write_h5(path, "targets", H5T_NATIVE_INT, {1}, &part);
    }
    const std::string directory = ", directory: " + folder.folder.path().string();
    CHECK(read_part("format: hdf5, train_file: 'part_*.h5'" + directory).features == std::vector<float>{1, 0, 2, 0});
    const std::string twice = "format: hdf5, train_file: [part_2.h5, part_1.h5], test_file: 'part_2*'" + directory;
    CHECK(read_part(twice).targets == std::vector<float>{2, 1});
    CHECK(read_part(twice, Part::test).targets == std::vector<float>{2});

    for (const std::string name : {"a1", "a2"}) {
        put_gz_content(folder.folder / (name + ".gz"), idx_content({1, 1}, name.substr(1)));
        put_content(folder.folder / ("l" + name), idx_content({1}, "\x01"));
    }
    put_content(folder.folder / "a2", idx_content({1, 1}, "2"));  // unpacked: not read twice
    const Samples samples = read_part("format: idx, train_inputs: 'a*', train_targets: 'la*'" + directory);
    CHECK(samples.features == std::vector<float>{'1', '2'});
}

TEST_CASE("layout: channels last become channels first, in every type and range") {
    const Folder folder;
    // 2 samples of 2x3 pixels with 3 channels: the value names them
    std::vector<float> stored, expected;
    for (int n = 0; n < 2; ++n)
        for (int pixel = 0; pixel < 6; ++pixel)
            for (int channel = 0; channel < 3; ++channel)
                stored.push_back(static_cast<float>(100 * n + 10 * channel + pixel));
    for (int n = 0; n < 2; ++n)
        for (int channel = 0; channel < 3; ++channel)
            for (int pixel = 0; pixel < 6; ++pixel)
                expected.push_back(static_cast<float>(100 * n + 10 * channel + pixel));
    folder.put("y.npy", npy_of("|u1", "2,", std::vector<std::uint8_t>{0, 1}));
    folder.put_floats("floats.npy", "2, 2, 3, 3", stored);
    folder.put("bytes.npy", npy_of("|u1", "2, 2, 3, 3", std::vector<std::uint8_t>(stored.begin(), stored.end())));
    for (const std::string name : {"floats.npy", "bytes.npy"}) {
        const Samples samples = folder.read(name, "y.npy", ", layout: nhwc");
        CHECK(samples.header.shape == Shape{3, 2, 3});
        CHECK(samples.features == expected);
        CHECK(folder.read(name, "y.npy").features == stored);
    }
    // no images of channels: nothing to move
    folder.put_floats("flat.npy", "2, 18", stored);
    CHECK(folder.read("flat.npy", "y.npy", ", layout: nhwc").features == stored);
    folder.put_floats("grey.npy", "2, 6, 3", stored);
    CHECK(folder.read("grey.npy", "y.npy", ", layout: nhwc").header.shape == Shape{1, 6, 3});
    CHECK(contains(folder.error_of("flat.npy", "y.npy", ", layout: hwc"), "allowed is nchw | nhwc"));
}

TEST_CASE("layout: dimensions that look like another layout give a note, once") {
    const Folder folder;
    folder.put("y.npy", npy_of("|u1", "2,", std::vector<std::uint8_t>{0, 1}));
    const auto notes = [&](const std::string& shape, const std::string& layout) {
        folder.put_floats("x.npy", shape, std::vector<float>(2 * 8 * 8 * 3));
        const Config section =
            data_section(folder.keys + ", train_inputs: x.npy, train_targets: y.npy, layout: " + layout);
        const auto format = data_formats().find("npy")(section, {});
        format->open(Part::train);
        format->open(Part::train);
        return section.notes();
    };
    CHECK(notes("2, 3, 8, 8", "nchw").empty());
    CHECK(notes("2, 8, 8, 3", "nhwc").empty());
    CHECK(notes("2, 8, 24", "nchw").empty());
    CHECK(notes("2, 4, 16, 3", "nchw").empty());  // both could be channels
    REQUIRE(notes("2, 8, 8, 3", "nchw").size() == 1);
    CHECK(contains(notes("2, 8, 8, 3", "nchw")[0], "x.npy' of 2x8x8x3 is read as 8 channels of 8x3"));
    CHECK(contains(notes("2, 8, 8, 3", "nchw")[0], "set data.layout to nhwc"));
    CHECK(contains(notes("2, 3, 8, 8", "nhwc")[0], "set data.layout to nchw"));
}

TEST_CASE("targets: (1,N) and (N,1,1) are (N); what is not clear is refused") {
    const Folder folder;
    folder.put_floats("x.npy", "3, 2", {1, 2, 3, 4, 5, 6});
    for (const std::string shape : {"3,", "1, 3", "3, 1", "3, 1, 1"}) {
        folder.put("y.npy", npy_of("<i8", shape, std::vector<std::int64_t>{7, 8, 9}));
        const Samples samples = folder.read("x.npy", "y.npy");
        CHECK(samples.targets == std::vector<float>{7, 8, 9});
        CHECK(samples.header.target_width == 1);
    }
    const Config section = data_section(folder.keys + ", train_inputs: x.npy, train_targets: y.npy");
    folder.put("y.npy", npy_of("<i8", "1, 3", std::vector<std::int64_t>{7, 8, 9}));
    std::vector<float> last(1);
    data_formats().find("npy")(section, {})->open(Part::train)->read(2, 1, {}, last);
    CHECK(last[0] == 9);
    folder.put_floats("y.npy", "1, 4", {1, 2, 3, 4});
    CHECK(contains(folder.error_of("x.npy", "y.npy"), "of the same samples (their dimensions are 3x2 and 1x4)"));
    folder.put_floats("y.npy", "3, 2, 2", std::vector<float>(12));
    CHECK(contains(folder.error_of("x.npy", "y.npy"), "holds targets of 3x2x2"));
    folder.put_floats("one.npy", "1, 2", {1, 2});  // one sample: its row is its targets
    folder.put_floats("y.npy", "1, 3", {1, 2, 3});
    CHECK(folder.read("one.npy", "y.npy").header.target_width == 3);
    folder.put_floats("y.npy", "2,", {1, 2});
    CHECK(contains(folder.error_of("x.npy", "y.npy"), "set data.transposed to true"));
    folder.put_floats("y.npy", "4, 2", std::vector<float>(8));  // other samples, not another order
    CHECK_FALSE(contains(folder.error_of("x.npy", "y.npy"), "data.transposed"));
    folder.put_floats("y.npy", "2,", {1, 2});
    folder.put_floats("flat.npy", "2,", {1, 2});
    CHECK(contains(folder.error_of("flat.npy", "y.npy"), "for one feature per sample use array.reshape(-1, 1)"));
    folder.put_floats("y.npy", "3, 2", {1, 2, 3, 4, 5, 6});
    CHECK(folder.read("x.npy", "y.npy", ", label_column: 1").targets == std::vector<float>{2, 4, 6});
    CHECK(folder.read("x.npy", "y.npy").header.target_width == 2);
}
