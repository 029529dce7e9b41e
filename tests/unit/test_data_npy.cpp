#include <doctest/doctest.h>

#include "../support/data_files.hpp"

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

template <class T>
void check_type(const std::string& type) {
    const Files files;
    const std::vector<T> numbers{0, 1, 2, 100, 50, 25};
    const Samples samples = files.read(npy_content(dictionary(type, "(2, 3)"), bytes_of(numbers)));
    CHECK(samples.features == std::vector<float>(numbers.begin(), numbers.end()));
    CHECK(samples.targets == std::vector<float>{4, 1});
    CHECK(samples.header.shape == Shape{3, 1, 1});
    CHECK(samples.header.element == (sizeof(T) == 1 ? Element::byte : Element::float32));
}

}  // namespace

TEST_CASE("npy: all number types") {
    check_type<std::uint8_t>("|u1");
    check_type<std::int32_t>("<i4");
    check_type<std::int64_t>("<i8");
    check_type<float>("<f4");
    check_type<double>("<f8");
}

TEST_CASE("npy: all versions, any order of keys, arrays longer than a piece") {
    const Files files;
    const std::string numbers = bytes_of(std::vector<float>{1, 2, 3, 4, 5, 6});
    for (const int version : {1, 2, 3})
        CHECK(files.read(npy_content(dictionary("<f4", "(2, 3)"), numbers, version)).features.back() == 6);
    const std::string other_order = "{'shape':(2,1,3),'fortran_order':False,'descr':'<f4'}   ";
    CHECK(files.read(npy_content(other_order, numbers)).header.shape == Shape{1, 1, 3});

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
    CHECK(contains(files.error_of(inputs, npy_content(dictionary("<f4", "()"), "1234")), "holds targets of"));
}

TEST_CASE("npy: what is not read is refused by its reason") {
    const Files files;
    const std::string numbers(24, '\0');
    CHECK(files.error_of(inputs) == "");
    const auto error_of_dictionary = [&](const std::string& words) {
        return files.error_of(npy_content(words, numbers));
    };
    CHECK(contains(error_of_dictionary("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }"),
                   "is in Fortran order: save numpy.ascontiguousarray(array)"));
    CHECK(
        contains(error_of_dictionary(dictionary(">f4", "(2, 3)")), "type '>f4': allowed are |u1, <i4, <i8, <f4, <f8"));
    CHECK(contains(error_of_dictionary("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}"), "records"));
    CHECK(contains(error_of_dictionary("{'descr': '<f4', 'fortran_order': False, }"), "damaged NPY header"));
    CHECK(contains(error_of_dictionary(dictionary("<f4", "(2, 3")), "damaged NPY header near"));
    CHECK(contains(error_of_dictionary(dictionary("<f4", "(2, -3)")), "is empty: its dimensions are 2x-3"));
    CHECK(contains(error_of_dictionary(dictionary("<f4", "(2, 3)") + "x"), "damaged NPY header near 'x"));
    CHECK(contains(error_of_dictionary(dictionary("<f4", "(99999999999999999999, 3)")), "damaged NPY header"));
    CHECK(contains(files.error_of(npy_content(dictionary("<f4", "(2, 3)"), numbers, 4)), "NPY version 4.0"));
    CHECK(contains(files.error_of("PK\x03\x04 a zip archive of arrays"), "is no NPY file"));
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
