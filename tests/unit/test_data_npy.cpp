#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "../support/data_files.hpp"
#include "pruntrain/io/array_reader.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

std::string dictionary(const std::string& type, const std::string& shape) {
    return "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
}

const std::string labels = npy_content(dictionary("<i8", "(2,)"), bytes_of(std::vector<std::int64_t>{4, 1}));
const std::string inputs = npy_content(dictionary("<f4", "(2, 3)"), bytes_of(std::vector<float>{1, 2, 3, 4, 5, 6}));

struct Files {
    TemporaryFolder folder;
    std::string keys = "format: npy, train_inputs: x.npy, train_targets: y.npy, directory: " + folder.path().string();

    Samples read(const std::string& input_file, const std::string& label_file = labels) const {
        put_content(folder / "x.npy", input_file);
        put_content(folder / "y.npy", label_file);
        return read_part(keys);
    }
    std::string error_of(const std::string& input_file, const std::string& label_file = labels) const {
        return input_error_of([&] { read(input_file, label_file); });
    }
};

/// As inputs and as targets, in both byte orders.
template <class T>
void check_type(const std::string& type, std::vector<T> numbers = {0, 1, 2, 100, 50, 25}) {
    CAPTURE(type);
    const Files files;
    const std::vector<float> expected(numbers.begin(), numbers.end());
    const auto content = [&](char order, const std::string& shape) {
        return npy_content(dictionary(order + type, shape), bytes_of(numbers));
    };
    const std::string six_labels = npy_content(dictionary("<i8", "(6,)"), bytes_of(std::vector<std::int64_t>(6)));
    const std::string six_inputs = npy_content(dictionary("<f4", "(6, 1)"), bytes_of(std::vector<float>(6)));
    for (const char order : {'<', '|', '='}) {
        const Samples samples = files.read(content(order, "(2, 3)"));
        CHECK(samples.features == expected);
        CHECK(samples.targets == std::vector<float>{4, 1});
        CHECK(samples.header.shape == Shape{3, 1, 1});
        CHECK(samples.header.element == (type == "u1" || type == "b1" ? Element::byte : Element::float32));
        CHECK(files.read(six_inputs, content(order, "(6,)")).targets == expected);
    }
    for (T& number : numbers) {
        auto* const bytes = reinterpret_cast<unsigned char*>(&number);
        std::reverse(bytes, bytes + sizeof(T));
    }
    CHECK(files.read(content('>', "(2, 3)")).features == expected);
    CHECK(files.read(content('>', "(6, 1)"), six_labels).features == expected);
    CHECK(files.read(six_inputs, content('>', "(6, 1)")).targets == expected);
}

}  // namespace

TEST_CASE("npy: all number types") {
    check_type<std::uint8_t>("b1", {0, 1, 1, 0, 0, 1});
    check_type<std::uint8_t>("u1", {0, 1, 127, 128, 254, 255});
    check_type<std::int8_t>("i1", {0, 1, 127, -128, -1, -50});
    check_type<std::uint16_t>("u2", {0, 1, 255, 256, 65535, 32768});
    check_type<std::int16_t>("i2", {0, 1, 255, 256, -32768, 32767});
    check_type<std::uint32_t>("u4");
    check_type<std::int32_t>("i4", {0, 1, -1, 1 << 24, -70000, 7});
    check_type<std::uint64_t>("u8");
    check_type<std::int64_t>("i8", {0, 1, -1, 1 << 24, -70000, 7});
    check_type<float>("f4", {0, -1.5F, 3e38F, 1e-40F, 7, 8});
    check_type<double>("f8", {0, -1.5, 3e38, 0.1, 7, 8});
}

TEST_CASE("npy: reversed dimensions, in both orders") {
    const Files files;
    const auto read = [&](const std::string& order, const std::string& more) {
        put_content(files.folder / "x.npy",
                    npy_content("{'descr': '<f4', 'fortran_order': " + order + ", 'shape': (2, 3), }",
                                bytes_of(std::vector<float>{1, 2, 3, 4, 5, 6})));
        put_content(files.folder / "y.npy",
                    npy_content(dictionary("<i8", "(1, 3)"), bytes_of(std::vector<std::int64_t>{7, 8, 9})));
        return read_part(files.keys + more);
    };
    CHECK(contains(input_error_of([&] { read("False", ""); }), "set data.transposed to true"));
    const Samples samples = read("False", ", transposed: true");
    CHECK(samples.features == std::vector<float>{1, 4, 2, 5, 3, 6});
    CHECK(samples.targets == std::vector<float>{7, 8, 9});
    CHECK(read("True", ", transposed: true").features == std::vector<float>{1, 2, 3, 4, 5, 6});
    const std::string path = (files.folder / "x.npy").string();
    CHECK(open_npy(path, DimensionOrder::reversed)->why_sequential() == "");
    read("False", ", transposed: true");
    CHECK(contains(open_npy(path, DimensionOrder::reversed)->why_sequential(), "set data.transposed to false"));
}

TEST_CASE("npy: integers that are too large for labels are shown as far as they are known") {
    const Files files;
    const auto error = [&](std::uint64_t label) {
        return files.error_of(inputs,
                              npy_content(dictionary("<u8", "(2,)"), bytes_of(std::vector<std::uint64_t>{1, label})));
    };
    CHECK(contains(error((1U << 24) + 1), "has the integer 16777217 at sample 1, which float32"));
    CHECK(contains(error(~std::uint64_t{0}), "has an integer of about 18446744073709551616 at sample 1"));
    CHECK(contains(error(std::uint64_t{1} << 63), "has an integer of about 9223372036854775808 at"));
}

TEST_CASE("npy: half precision, with subnormal values, infinity and NaN") {
    const Files files;
    const std::vector<std::uint16_t> halves{0x3C00, 0xC000, 0x7BFF, 0x0001, 0x03FF, 0x8400, 0x7C00, 0xFC00, 0x3555};
    const std::vector<float> expected{1,         -2,       65504,     0x1p-24F,       0x1.FF8p-15F,
                                      -0x1p-14F, INFINITY, -INFINITY, 0.333251953125F};
    std::vector<std::uint16_t> swapped;
    for (const unsigned half : halves) swapped.push_back(static_cast<std::uint16_t>(half << 8 | half >> 8));
    const std::string nine = npy_content(dictionary("<u1", "(9,)"), std::string(9, '\0'));
    CHECK(files.read(npy_content(dictionary("<f2", "(9, 1)"), bytes_of(halves)), nine).features == expected);
    CHECK(files.read(npy_content(dictionary(">f2", "(9, 1)"), bytes_of(swapped)), nine).features == expected);
    const std::vector<std::uint16_t> nan{0x7E00, 0, 0, 0, 0, 0};
    CHECK(std::isnan(files.read(npy_content(dictionary("<f2", "(2, 3)"), bytes_of(nan))).features[0]));
}

TEST_CASE("npy: Fortran order is the array that NumPy shows") {
    const Files files;
    const auto read = [&](index_t samples, std::vector<index_t> sample, auto first, bool packed) {
        using T = decltype(first);
        index_t size = 1;
        std::string shape = text("(", samples);
        for (const index_t length : sample) {
            size *= length;
            shape += text(", ", length);
        }
        const index_t all = samples * size;
        std::vector<T> stored(static_cast<std::size_t>(all));
        std::vector<float> expected(stored.size());
        for (index_t n = 0; n < samples; ++n)
            for (index_t i = 0; i < size; ++i) {
                index_t place = 0, stride = samples, rest = i, rest_size = size;
                for (const index_t length : sample) {
                    rest_size /= length;
                    place += rest / rest_size * stride;
                    rest %= rest_size;
                    stride *= length;
                }
                const auto value = static_cast<T>((n * size + i) * 7 % 251);
                stored[static_cast<std::size_t>(n + place)] = value;
                expected[static_cast<std::size_t>(n * size + i)] = static_cast<float>(value);
            }
        const std::string type = sizeof(T) == 1 ? "|u1" : sizeof(T) == 4 ? "<f4" : "<f8";
        const std::string content = npy_content(
            "{'descr': '" + type + "', 'fortran_order': True, 'shape': " + shape + "), }", bytes_of(stored));
        const std::string targets = npy_content(dictionary("|u1", text("(", samples, ",)")),
                                                std::string(static_cast<std::size_t>(samples), '\1'));
        put_content(files.folder / "y.npy", targets);
        if (packed) put_gz_content(files.folder / "x.npy", content);
        else put_content(files.folder / "x.npy", content);
        const Samples read_samples = read_part(files.keys);
        CHECK(read_samples.header.samples == samples);
        CHECK(read_samples.features == expected);
        // any range of them
        const auto reader = open_npy((files.folder / "x.npy").string());
        CHECK_FALSE(reader->reads_anywhere());
        std::vector<float> some(static_cast<std::size_t>(2 * size));
        for (const index_t from : {index_t{0}, samples / 2, samples - 2}) {
            reader->read_floats(from, 2, some);
            CHECK(std::equal(some.begin(), some.end(), expected.begin() + from * size));
        }
    };
    for (const bool packed : {false, true}) {
        read(5, {4}, 0.5F, packed);
        read(7, {2, 3}, 0.5, packed);
        read(6, {3, 5, 4}, std::uint8_t{1}, packed);
        read(70000, {3}, 0.5, packed);  // longer than a block
        read(3000, {37}, 0.5F, packed);
    }
    // targets, and one dimension, which has no order
    const std::string two = npy_content("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }",
                                        bytes_of(std::vector<float>{1, 2, 3, 4, 5, 6}));
    CHECK(files.read(inputs, two).targets == std::vector<float>{1, 3, 5, 2, 4, 6});
    const std::string one = npy_content("{'descr': '<i8', 'fortran_order': True, 'shape': (2,), }",
                                        bytes_of(std::vector<std::int64_t>{4, 1}));
    CHECK(files.read(inputs, one).targets == std::vector<float>{4, 1});
}

TEST_CASE("npy: labels are exact, inputs may be rounded") {
    const Files files;
    const std::vector<std::int64_t> large{1, (1 << 24) + 1, 2, 3, 4, 5};
    const std::string array = npy_content(dictionary("<i8", "(2, 3)"), bytes_of(large));
    CHECK(files.read(array).features[1] == 1 << 24);
    CHECK(contains(files.error_of(inputs, array), "y.npy' has the integer 16777217 at sample 0, which float32 cannot"));
    const std::vector<std::uint64_t> largest{0xFFFFFFFFFFFFFFFF, 1};
    CHECK(contains(files.error_of(inputs, npy_content(dictionary("<u8", "(2,)"), bytes_of(largest))), "at sample 0"));
    const std::vector<double> reals{16777217, 0.1};  // values to predict
    CHECK(files.read(inputs, npy_content(dictionary("<f8", "(2,)"), bytes_of(reals))).targets[0] == 1 << 24);
}

TEST_CASE("npy: all versions, any order of keys, arrays longer than a piece") {
    const Files files;
    const std::string numbers = bytes_of(std::vector<float>{1, 2, 3, 4, 5, 6});
    for (const int version : {1, 2, 3})
        CHECK(files.read(npy_content(dictionary("<f4", "(2, 3)"), numbers, version)).features.back() == 6);
    const std::string other_order = "{'shape':(2,1,3),'fortran_order':False,'descr':'<f4'}   ";
    CHECK(files.read(npy_content(other_order, numbers)).header.shape == Shape{1, 1, 3});
    const std::string other_quotes = "{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": (2L, 3L)}";  // Python 2
    CHECK(files.read(npy_content(other_quotes, numbers)).header.shape == Shape{3, 1, 1});

    std::vector<double> many(2 * 20011);
    for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<double>(i);
    const auto read = files.read(npy_content(dictionary("<f8", "(2, 20011)"), bytes_of(many))).features;
    CHECK(read == std::vector<float>(many.begin(), many.end()));
}

TEST_CASE("npy: targets of several numbers") {
    const Files files;
    const Samples samples = files.read(
        inputs, npy_content(dictionary("<f8", "(2, 2)"), bytes_of(std::vector<double>{0.5, -1, 2, 1e300 * 1e-300})));
    CHECK(samples.header.target_width == 2);
    CHECK(samples.targets == std::vector<float>{0.5, -1, 2, 1});
    CHECK(contains(files.error_of(inputs, npy_content(dictionary("<f4", "()"), "1234")),
                   "holds targets of a single value"));
}

TEST_CASE("npy: what is not read is refused by its reason") {
    const Files files;
    const std::string numbers(24, '\0');
    CHECK(files.error_of(inputs) == "");
    const auto error_of_dictionary = [&](const std::string& words) {
        return files.error_of(npy_content(words, numbers));
    };
    for (const auto& [type, advice] : std::vector<std::pair<std::string, std::string>>{
             {"|O", "Python objects: convert them, as with numpy.array(array.tolist()"},
             {"<U3", "text: save class labels as integers, as with numpy.unique"},
             {"|S3", "text: save class labels"},
             {"<c8", "complex values: save real and imaginary parts"},
             {"<M8[ns]", "dates or durations: convert them"},
             {"<f16", "a type that is not read: convert it, as with array.astype('float32')"},
             {"|V4", "raw bytes"}})
        CHECK_MESSAGE(contains(error_of_dictionary(dictionary(type, "(2, 3)")), "type '" + type + "', " + advice),
                      type);
    CHECK(contains(error_of_dictionary("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2, 3), }"), "damaged NPY"));
    CHECK(contains(error_of_dictionary("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}"), "records"));
    CHECK(contains(error_of_dictionary("{'descr': '<f4', 'fortran_order': False, }"), "damaged NPY header"));
    CHECK(contains(error_of_dictionary(dictionary("<f4", "(2, 3")), "damaged NPY header near"));
    CHECK(contains(error_of_dictionary(dictionary("<f4", "(2, -3)")), "is empty: its dimensions are 2x-3"));
    CHECK(contains(error_of_dictionary(dictionary("<f4", "(2, 3)") + "x"), "damaged NPY header near 'x"));
    CHECK(contains(error_of_dictionary(dictionary("<f4", "(99999999999999999999, 3)")), "damaged NPY header"));
    CHECK(contains(files.error_of(npy_content(dictionary("<f4", "(2, 3)"), numbers, 4)), "NPY version 4.0"));
    CHECK(contains(files.error_of("PK\x03\x04 a zip archive of files"), "is no NPY file"));
    const std::string member(22, '\0');
    CHECK(contains(files.error_of("PK\x03\x04" + member + std::string("\x05\0\0\0", 4) + "a.npy"), "x.npy')['a']))"));
    CHECK(contains(files.error_of("\x89HDF\r\n\x1a\n and so on"), "it is an HDF5 file: set data.format to hdf5"));
    CHECK(contains(files.error_of("\x80\x04\x95 pickled"), "Python pickle"));
    CHECK(contains(files.error_of(inputs + "x"), "longer than its header announces"));
    CHECK(contains(files.error_of(npy_content(dictionary("<f4", "(4294967296, 4294967296, 3)"), numbers)),
                   "announces 4294967296x4294967296x3 elements, but the file has room for 6 at most"));
    CHECK(contains(files.error_of(std::string("\x93NUMPY\x02\x00\xFF\xFF\xFF\x7F{", 13)), "a header of 2147483647"));
    CHECK(contains(files.error_of(npy_content(dictionary("<f4", "(2, 3)") + std::string(1 << 16, ' '), numbers, 2)),
                   "bytes, allowed are 65536 in a file that has them"));
    std::filesystem::remove(files.folder / "x.npy");
    CHECK(contains(input_error_of([&] { read_part(files.keys); }), "x.npy': No such file or directory"));
}

TEST_CASE("npy: no cut or changed byte of a header is more than an error") {
    const Files files;
    for (std::size_t length = 0; length < inputs.size(); ++length)
        CHECK(files.error_of(inputs.substr(0, length)) != "");
    const std::size_t header_bytes = inputs.size() - 24;
    for (std::size_t i = 0; i < header_bytes; ++i)
        for (const char other : {'\'', '9', '\xFF'}) {
            std::string changed = inputs;
            if (changed[i] == other) continue;
            changed[i] = other;
            // a blank may become a part of nothing, but no number of samples other than 2 fits labels and size
            const std::string error = files.error_of(changed);
            if (error.empty()) CHECK(files.read(changed).features.size() == 6);
        }
}
