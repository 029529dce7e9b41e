#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "../support/data_files.hpp"
#include "../support/h5_data.hpp"
#include "pruntrain/io/array_reader.hpp"

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
    CHECK(data_formats().find("hdf5")(data_section("train_file: a.h5"), {})->open(Part::test) == nullptr);
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
    CHECK(contains(file.error_of(), "data set '/inputs' was created, but never written"));
    write_h5(file.path, "chunked", H5T_NATIVE_FLOAT, {1 << 20, 64}, nullptr, 16);
    CHECK(contains(file.error_of(", inputs_path: chunked"), "data set 'chunked' was created, but never written"));

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

TEST_CASE("hdf5: truth values, half precision, enumerations and wide integers") {
    const File file;
    const std::vector<std::uint8_t> truths{0, 1, 1, 0};
    const hid_t truth = H5Tenum_create(H5T_NATIVE_INT8);  // as h5py writes them
    std::int8_t value = 0;
    H5Tenum_insert(truth, "FALSE", &value);
    value = 1;
    H5Tenum_insert(truth, "TRUE", &value);
    file.add("truths", truth, {2, 2}, truths);
    file.add("bits", H5T_NATIVE_B8, {2, 2}, truths);  // as PyTables writes them
    const hid_t signs = H5Tenum_create(H5T_STD_I16BE);
    std::int16_t sign = 0;
    for (const auto& [name, number] : {std::pair{"minus", -1}, {"zero", 0}, {"plus", 1}}) {
        sign = static_cast<std::int16_t>(static_cast<std::uint16_t>(number) << 8 | (number < 0 ? 0xFF : 0));
        H5Tenum_insert(signs, name, &sign);
    }
    file.add("signs", signs, {2, 2}, std::vector<std::uint16_t>{0xFFFF, 0, 0x0100, 0xFFFF});
    const hid_t half = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(half, 15, 10, 5, 0, 10);
    H5Tset_size(half, 2);
    H5Tset_ebias(half, 15);
    file.add("halves", half, {2, 2}, std::vector<std::uint16_t>{0x3C00, 0xC000, 0x3800, 0x7BFF});
    for (const hid_t type : {truth, signs, half}) H5Tclose(type);
    file.add("wide", H5T_NATIVE_UINT64, {2, 2}, std::vector<std::uint64_t>{1, 2, 16777217, 4});
    file.add("targets", H5T_NATIVE_INT64, {2}, std::vector<std::int64_t>{9, 3});

    const auto features = [&](const std::string& name) { return read_part(file.keys + ", inputs_path: " + name); };
    for (const std::string name : {"truths", "bits"}) {
        CHECK(features(name).features == std::vector<float>{0, 1, 1, 0});
        CHECK(features(name).header.element == Element::byte);
        CHECK(read_part(file.keys + ", inputs_path: wide, targets_path: " + name).targets ==
              std::vector<float>{0, 1, 1, 0});
    }
    CHECK(features("signs").features == std::vector<float>{-1, 0, 1, -1});
    CHECK(features("halves").features == std::vector<float>{1, -2, 0.5, 65504});
    CHECK(features("wide").features == std::vector<float>{1, 2, 16777216, 4});
    CHECK(contains(file.error_of(", inputs_path: signs, targets_path: wide"), "has the integer 16777217 at sample 1"));
}

TEST_CASE("hdf5: reversed dimensions, as MATLAB, Julia and R write them") {
    const File file;
    const std::vector<float> stored{1, 2, 3, 4, 5, 6};  // of MATLAB's [1 4; 2 5; 3 6]: 3 samples of 2 features
    file.add("inputs", H5T_NATIVE_FLOAT, {2, 3}, stored);
    file.add("targets", H5T_NATIVE_DOUBLE, {1, 3}, std::vector<double>{7, 8, 9});
    CHECK(contains(file.error_of(), "of the same samples (their dimensions are 2x3 and 1x3)"));
    CHECK(contains(file.error_of(), "set data.transposed to true"));
    const Samples samples = read_part(file.keys + ", transposed: true");
    CHECK(samples.header.samples == 3);
    CHECK(samples.features == std::vector<float>{1, 4, 2, 5, 3, 6});
    CHECK(samples.targets == std::vector<float>{7, 8, 9});
    file.add("rows", H5T_NATIVE_FLOAT, {3, 2}, stored);
    CHECK(contains(file.error_of(", transposed: true, inputs_path: rows"), "set data.transposed to false"));

    // images of many samples, compressed in chunks that divide nothing, read whole and in ranges
    constexpr hsize_t columns = 4, rows = 5, channels = 3, count = 1001;
    std::vector<std::uint8_t> images(columns * rows * channels * count);
    for (std::size_t i = 0; i < images.size(); ++i) images[i] = static_cast<std::uint8_t>(i * i % 251);
    file.add("images", H5T_NATIVE_UINT8, {columns, rows, channels, count}, images);
    write_h5(file.path, "chunked", H5T_NATIVE_UINT8, {columns, rows, channels, count}, images.data(), 3);
    file.add("classes", H5T_NATIVE_UINT8, {count}, std::vector<std::uint8_t>(count));
    std::vector<float> expected;
    for (std::size_t n = 0; n < count; ++n)
        for (std::size_t c = 0; c < channels; ++c)
            for (std::size_t r = 0; r < rows; ++r)
                for (std::size_t k = 0; k < columns; ++k)
                    expected.push_back(images[((k * rows + r) * channels + c) * count + n]);
    for (const std::string name : {"images", "chunked"}) {
        const Samples read = read_part(file.keys + ", transposed: true, targets_path: classes, inputs_path: " + name);
        CHECK(read.header.shape == Shape{3, 5, 4});
        CHECK(read.features == expected);
        const auto reader = open_h5_dataset(file.path, name, DimensionOrder::reversed);
        CHECK(contains(reader->why_sequential(), "dimensions reversed"));
        std::vector<float> some(7 * 60);
        reader->read_floats(500, 7, some);
        CHECK(std::equal(some.begin(), some.end(), expected.begin() + 500 * 60));
    }
}

TEST_CASE("hdf5: chunks that were never written are fill values, with a warning") {
    const File file;
    const auto add = [&](const char* name, hsize_t count, float fill) {
        const hid_t h5 = H5Fopen(file.path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
        const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
        const std::array<hsize_t, 2> extents{count, 2}, chunk{10, 2}, begin{0, 0}, size{3, 2};
        H5Pset_chunk(creation, 2, chunk.data());
        H5Pset_fill_value(creation, H5T_NATIVE_FLOAT, &fill);
        const hid_t space = H5Screate_simple(2, extents.data(), nullptr);
        const hid_t dataset = H5Dcreate2(h5, name, H5T_NATIVE_FLOAT, space, H5P_DEFAULT, creation, H5P_DEFAULT);
        const hid_t here = H5Screate_simple(2, size.data(), nullptr);
        H5Sselect_hyperslab(space, H5S_SELECT_SET, begin.data(), nullptr, size.data(), nullptr);
        const std::vector<float> numbers{1, 2, 3, 4, 5, 6};
        H5Dwrite(dataset, H5T_NATIVE_FLOAT, here, space, H5P_DEFAULT, numbers.data());
        for (const hid_t one : {space, here}) H5Sclose(one);
        H5Dclose(dataset);
        H5Pclose(creation);
        H5Fclose(h5);
    };
    file.add("targets", H5T_NATIVE_FLOAT, {100}, std::vector<float>(100));
    add("inputs", 100, 0.5F);
    const Samples samples = read_part(file.keys);
    CHECK(std::vector<float>(samples.features.begin(), samples.features.begin() + 7) ==
          std::vector<float>{1, 2, 3, 4, 5, 6, 0.5});
    CHECK(samples.features.back() == 0.5);
    CHECK(contains(open_h5_dataset(file.path, "inputs")->warning(),
                   "9 of its 10 chunks (90.0 %) were never written, and are read as the fill value 0.5"));
    CHECK(open_h5_dataset(file.path, "targets")->warning() == "");
    // a claim of more than any memory
    add("claim", hsize_t{1} << 50, 0);
    CHECK(contains(file.error_of(", inputs_path: claim"), "more than this machine has memory for"));
    CHECK(contains(file.error_of(", inputs_path: claim"), "never written: store the samples that exist"));
}

TEST_CASE("hdf5: what is at a place that is no array is said") {
    const File file;
    file.add("x", H5T_NATIVE_FLOAT, {2, 2}, std::vector<float>{1, 2, 3, 4});
    file.add("targets", H5T_NATIVE_FLOAT, {2}, std::vector<float>{1, 2});
    const hid_t h5 = H5Fopen(file.path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    H5Gclose(H5Gcreate2(h5, "group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Lcreate_external("none.h5", "/x", h5, "outside", H5P_DEFAULT, H5P_DEFAULT);
    const hid_t record = H5Tcreate(H5T_COMPOUND, 8);
    H5Tinsert(record, "height", 0, H5T_NATIVE_FLOAT);
    H5Tinsert(record, "weight", 4, H5T_NATIVE_FLOAT);
    H5Fclose(h5);
    file.add("table", record, {2}, std::vector<float>{1, 2, 3, 4});
    H5Tclose(record);
    CHECK(contains(file.error_of(), "; the file has group, outside, table, targets, x (data.inputs_path"));
    CHECK(contains(file.error_of(", inputs_path: group"), "it is a group with nothing: name a data set"));
    CHECK(contains(file.error_of(", inputs_path: outside"), "it is an external link to '/x' in 'none.h5', which"));
    CHECK(contains(file.error_of(", inputs_path: table"), "it holds records of height, weight: store their columns"));

    // an external link that leads somewhere is read, and its file watched
    const std::string other = (file.folder / "none.h5").string();
    write_h5(other, "x", H5T_NATIVE_FLOAT, {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6}.data());
    CHECK(read_part(file.keys + ", inputs_path: outside").features == std::vector<float>{1, 2, 3, 4, 5, 6});
    const auto reader = open_h5_dataset(file.path, "outside");
    std::filesystem::resize_file(other, std::filesystem::file_size(other) + 1);
    std::vector<float> numbers(3);
    CHECK(contains(input_error_of([&] { reader->read_floats(0, 1, numbers); }), "has changed since it was opened"));
}
