#include <doctest/doctest.h>

#include "../support/data_files.hpp"
#include "../support/h5_data.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

struct File {
    TemporaryFolder folder;
    std::string path = (folder / "a.h5").string();
    std::string keys = "format: hdf5, train_file: a.h5, directory: " + folder.path().string();

    template <class T>
    void add(const std::string& name, hid_t type, const std::vector<hsize_t>& dimensions, const std::vector<T>& numbers,
             bool compressed = false) const {
        write_h5(path, name, type, dimensions, numbers.data(), compressed ? dimensions[0] : 0);
    }
    std::string error_of(const std::string& more_keys = "") const {
        return input_error_of([&] { read_part(keys + more_keys); });
    }
};

}  // namespace

TEST_CASE("hdf5: number types, dimensions and filters") {
    const File file;
    const std::vector<double> doubles{0.5, -1, 2, 3, 4, 5, 6, 7};
    const std::vector<std::uint8_t> bytes{0, 1, 2, 3, 200, 254, 255, 7};
    const std::vector<std::int16_t> shorts{-300, 1, 2, 3, 4, 5, 6, 700};
    file.add("doubles", H5T_NATIVE_DOUBLE, {2, 4}, doubles);
    file.add("big_endian", H5T_STD_I16BE, {2, 1, 4}, std::vector<std::uint16_t>{0x0100, 0, 0, 0, 0, 0, 0, 0xFFFF});
    file.add("bytes", H5T_NATIVE_UINT8, {2, 2, 1, 2}, bytes, true);
    file.add("shorts", H5T_NATIVE_INT16, {2, 2, 2}, shorts, true);
    file.add("targets", H5T_NATIVE_INT64, {2}, std::vector<std::int64_t>{9, 3});

    Samples samples = read_part(file.keys + ", inputs_path: /doubles");
    CHECK(samples.features == std::vector<float>(doubles.begin(), doubles.end()));
    CHECK(samples.targets == std::vector<float>{9, 3});
    CHECK(samples.header.shape == Shape{4, 1, 1});
    CHECK(samples.header.element == Element::float32);

    samples = read_part(file.keys + ", inputs_path: bytes");
    CHECK(samples.features == std::vector<float>(bytes.begin(), bytes.end()));
    CHECK(samples.header.shape == Shape{2, 1, 2});
    CHECK(samples.header.element == Element::byte);

    samples = read_part(file.keys + ", inputs_path: shorts");
    CHECK(samples.features == std::vector<float>(shorts.begin(), shorts.end()));
    CHECK(samples.header.shape == Shape{1, 2, 2});
    samples = read_part(file.keys + ", inputs_path: big_endian");
    CHECK(samples.features == std::vector<float>{1, 0, 0, 0, 0, 0, 0, -1});
}

TEST_CASE("hdf5: training and test samples in one file or two") {
    const File file;
    const std::vector<float> numbers{1, 2, 3, 4};
    file.add("x_train", H5T_NATIVE_FLOAT, {2, 2}, numbers);
    file.add("x_test", H5T_NATIVE_FLOAT, {1, 2}, numbers);
    file.add("y_train", H5T_NATIVE_FLOAT, {2, 2}, numbers);
    file.add("y_test", H5T_NATIVE_FLOAT, {1, 2}, numbers);
    const std::string train_names = ", inputs_path: x_train, targets_path: y_train";
    const std::string test_names = ", test_inputs_path: x_test, test_targets_path: y_test";
    CHECK(read_part(file.keys + train_names).header.samples == 2);
    CHECK(read_part(file.keys + train_names).header.target_width == 2);
    const std::string one_file = file.keys + ", test_file: a.h5" + train_names;
    CHECK(read_part(one_file + test_names, Part::test).header.samples == 1);
    CHECK(read_part(one_file, Part::test).header.samples == 2);  // the same names as in training
    CHECK(data_formats().find("hdf5")(data_section("train_file: a.h5"))->open(Part::test) == nullptr);
}

TEST_CASE("hdf5: what is not read is refused by its reason") {
    const File file;
    CHECK(contains(file.error_of(), "a.h5': No such file or directory"));
    put_content(file.path, "this is text");
    CHECK(contains(file.error_of(), "as HDF5: "));
    std::filesystem::remove(file.path);

    file.add("inputs", H5T_NATIVE_FLOAT, {2, 2}, std::vector<float>{1, 2, 3, 4});
    CHECK(contains(file.error_of(), "data set '/targets' cannot be opened: "));
    file.add("targets", H5T_NATIVE_FLOAT, {3}, std::vector<float>{1, 2, 3});
    CHECK(contains(file.error_of(), "holds 2 samples, but"));
    file.add("labels", H5T_NATIVE_FLOAT, {2}, std::vector<float>{1, 2});
    CHECK(file.error_of(", targets_path: labels") == "");
    CHECK(contains(file.error_of(", targets_path: labels, inputs_path: targets"), "holds inputs of 3: allowed are"));

    const hid_t text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, 4);
    file.add("words", text, {2}, std::vector<char>(8, 'x'));
    H5Tclose(text);
    CHECK(contains(file.error_of(", targets_path: words"), "data set 'words' is not numeric"));
    file.add("empty", H5T_NATIVE_FLOAT, {0, 2}, std::vector<float>{});
    CHECK(contains(file.error_of(", inputs_path: empty"), "is empty: its dimensions are 0x2"));
}

TEST_CASE("hdf5: what was never written, or is cut off, is no data") {
    const File file;
    file.add("targets", H5T_NATIVE_FLOAT, {1 << 20}, std::vector<float>(1 << 20));
    write_h5(file.path, "inputs", H5T_NATIVE_FLOAT, {1 << 20, 1 << 20}, nullptr);
    CHECK(contains(file.error_of(), "announces 1048576x1048576 elements, but the file has room for 0 at most"));

    const File cut;
    cut.add("inputs", H5T_NATIVE_FLOAT, {1000, 2}, std::vector<float>(2000, 1.5F));
    cut.add("targets", H5T_NATIVE_FLOAT, {1000}, std::vector<float>(1000, 1.0F));
    CHECK(cut.error_of() == "");
    std::filesystem::resize_file(cut.path, 6000);
    CHECK(cut.error_of() != "");
}

TEST_CASE("hdf5: a changed byte in a compressed data set is found") {
    const File file;
    file.add("inputs", H5T_NATIVE_FLOAT, {50, 2}, std::vector<float>(100, 1.5F), true);
    file.add("targets", H5T_NATIVE_FLOAT, {50}, std::vector<float>(50, 1.0F));
    CHECK(file.error_of() == "");
    std::string content = content_of(file.path);
    const auto deflated = content.find("\x78\xDA");  // how a zlib stream of level 9 begins
    REQUIRE(deflated != std::string::npos);
    content[deflated + 4] ^= 1;
    put_content(file.path, content);
    CHECK(contains(file.error_of(), "data set '/inputs' cannot be read: "));
}
